//! The symbolic names of error numbers, which neither std nor rustix print.
//!
//! # References
//! errno(3)

use crate::Errno;

macro_rules! names {
    ($($name:ident)*) => {
        /// The symbolic name of an error number, such as `"EACCES"`, or
        /// `"E?"` for one that this table lacks.
        ///
        /// # Examples
        /// ```
        /// use procession_sys::{Errno, errno};
        /// assert_eq!(errno::name(Errno::ACCESS), "EACCES");
        /// ```
        #[must_use]
        pub fn name(errno: Errno) -> &'static str {
            match errno.raw_os_error() {
                $(libc::$name => stringify!($name),)*
                _ => "E?",
            }
        }
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC
    ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP
    ENOMSG EIDRM ENODATA ETIME EPROTO EBADMSG EOVERFLOW EILSEQ EUSERS ENOTSOCK EDESTADDRREQ
    EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN
    ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY
    EINPROGRESS ESTALE EDQUOT ECANCELED EOWNERDEAD ENOTRECOVERABLE
}

/// The kernel's one-line meaning of an error number, without the number.
///
/// # Examples
/// ```
/// use procession_sys::{Errno, errno};
/// assert_eq!(errno::meaning(Errno::ACCESS), "permission denied");
/// ```
#[must_use]
pub fn meaning(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
