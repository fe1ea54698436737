//! Settings that tasks and programs have in common.

/// Methods of a builder with the fields `environment`, `directory` and
/// `settings`.
macro_rules! setters {
    () => {
        /// Sets an environment variable.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// let command = Command::shell("echo $PROCESSION_A").env("PROCESSION_A", "1");
        /// assert_eq!(command.check()?.text(), "1");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[must_use]
        pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
            let value = value.as_ref().to_owned();
            self.environment.set(key.as_ref().to_owned(), Some(value));
            self
        }

        /// Sets environment variables.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// let command = Command::shell("echo $PROCESSION_A$PROCESSION_B");
        /// let command = command.envs([("PROCESSION_A", "1"), ("PROCESSION_B", "2")]);
        /// assert_eq!(command.check()?.text(), "12");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
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
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// let command = Command::shell("echo ${HOME-none}").env_remove("HOME");
        /// assert_eq!(command.check()?.text(), "none");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[must_use]
        pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
            self.environment.set(key.as_ref().to_owned(), None);
            self
        }

        /// Removes all environment variables, but those set after this.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// let command = Command::new("/usr/bin/env").env_clear().env("ONLY", "1");
        /// assert_eq!(command.check()?.text(), "ONLY=1");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[must_use]
        pub fn env_clear(mut self) -> Self {
            self.environment.clear();
            self
        }

        /// Sets the directory in which the process begins.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// assert_eq!(Command::new("pwd").current_dir("/usr").check()?.text(), "/usr");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[must_use]
        pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
            self.directory = Some(directory.as_ref().to_owned());
            self
        }

        /// Sets a limit of the kernel, soft and hard alike; `None` is no limit.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// use procession::process::LimitedResource;
        /// let command = Command::shell("ulimit -n").limit(LimitedResource::OpenFiles, Some(99));
        /// assert_eq!(command.check()?.text(), "99");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[doc(alias = "setrlimit")]
        #[must_use]
        pub fn limit(mut self, resource: LimitedResource, value: Option<u64>) -> Self {
            self.settings.limits.push((resource, value, value));
            self
        }

        /// Sets the niceness, −20 to 19; lowering it takes privileges.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// assert_eq!(Command::new("nice").niceness(19).check()?.text(), "19");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[doc(alias = "setpriority")]
        #[must_use]
        pub fn niceness(mut self, niceness: i32) -> Self {
            self.settings.niceness = Some(niceness);
            self
        }

        /// Binds the process to these CPUs, numbered from zero.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// let first = Command::shell("grep Cpus_allowed_list /proc/self/status").cpus([0]);
        /// assert_eq!(first.check()?.text(), "Cpus_allowed_list:\t0");
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[doc(alias = "sched_setaffinity")]
        #[must_use]
        pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
            self.settings.cpus = Some(cpus.into_iter().collect());
            self
        }

        /// Becomes this user, without supplementary groups; takes privileges.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// match Command::new("id").arg("-u").uid(65534).check() {
        ///     Ok(output) => assert_eq!(output.text(), "65534"),
        ///     Err(error) => assert!(error.status().is_none(), "without privileges it is not started"),
        /// }
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[doc(alias = "setuid")]
        #[must_use]
        pub fn uid(mut self, user: u32) -> Self {
            self.settings.user = Some(user);
            self
        }

        /// Becomes this group, without supplementary groups; takes privileges.
        ///
        /// # Examples
        /// ```
        /// use procession::process::Command;
        /// match Command::new("id").arg("-g").gid(65534).check() {
        ///     Ok(output) => assert_eq!(output.text(), "65534"),
        ///     Err(error) => assert!(error.status().is_none(), "without privileges it is not started"),
        /// }
        /// # Ok::<(), procession::process::CommandError>(())
        /// ```
        #[doc(alias = "setgid")]
        #[must_use]
        pub fn gid(mut self, group: u32) -> Self {
            self.settings.user_group = Some(group);
            self
        }
    };
}

pub(super) use setters;
