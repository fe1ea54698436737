//! Settings that tasks and programs have in common.

/// Methods of a builder with the fields `environment`, `directory` and
/// `settings`.
macro_rules! setters {
    () => {
        /// Sets an environment variable.
        #[must_use]
        pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
            let value = value.as_ref().to_owned();
            self.environment.set(key.as_ref().to_owned(), Some(value));
            self
        }

        /// Sets environment variables.
        #[must_use]
        pub fn envs(
            mut self,
            variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
        ) -> Self {
            for (key, value) in variables {
                self = self.env(key, value);
            }
            self
        }

        /// Removes an environment variable.
        #[must_use]
        pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
            self.environment.set(key.as_ref().to_owned(), None);
            self
        }

        /// Removes all environment variables, but those set after this.
        #[must_use]
        pub fn env_clear(mut self) -> Self {
            self.environment.clear();
            self
        }

        /// The directory to begin in.
        #[must_use]
        pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
            self.directory = Some(directory.as_ref().to_owned());
            self
        }

        /// Sets a limit of the kernel, soft and hard alike; `None` is no limit.
        #[doc(alias = "setrlimit")]
        #[must_use]
        pub fn limit(mut self, resource: LimitedResource, value: Option<u64>) -> Self {
            self.settings.limits.push((resource, value, value));
            self
        }

        /// Niceness, −20 to 19; lowering it takes privileges.
        #[doc(alias = "setpriority")]
        #[must_use]
        pub fn niceness(mut self, niceness: i32) -> Self {
            self.settings.niceness = Some(niceness);
            self
        }

        /// The CPUs it may run on, from zero.
        #[doc(alias = "sched_setaffinity")]
        #[must_use]
        pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
            self.settings.cpus = Some(cpus.into_iter().collect());
            self
        }

        /// Becomes this user, without supplementary groups; takes privileges.
        #[doc(alias = "setuid")]
        #[must_use]
        pub fn uid(mut self, user: u32) -> Self {
            self.settings.user = Some(user);
            self
        }

        /// Becomes this group, without supplementary groups; takes privileges.
        #[doc(alias = "setgid")]
        #[must_use]
        pub fn gid(mut self, group: u32) -> Self {
            self.settings.user_group = Some(group);
            self
        }
    };
}

pub(super) use setters;
