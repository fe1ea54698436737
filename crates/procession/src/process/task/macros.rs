//! The macro [`task!`](crate::task).

/// A [`Task`](crate::process::Task) that captures the named values: `task!([a,
/// mut b, &c] |x| ...)`. The values are moved into the task, those behind an `&`
/// as clones, and copied to each process that runs it; types are inferred.
///
/// # Panics
/// If the values cannot be encoded, or the function is code of a shared
/// library; [`Task::bind`](crate::process::Task::bind) returns these errors.
///
/// # Examples
/// ```
/// use procession::{process, task};
/// let (greeting, mut count) = (String::from("hello"), 0);
/// let greet = task!([greeting, mut count] |name: String| {
///     count += 1;
///     format!("{greeting} {name} {count}")
/// });
/// let said = process::spawn_task(&greet, "world".to_owned())?.join().unwrap();
/// assert_eq!(said, "hello world 1");
/// # Ok::<(), procession::Error>(())
/// ```
///
/// Using a value that is not in the list does not compile:
/// ```compile_fail
/// let (a, b) = (1, 2);
/// let sum = procession::task!([a] |x: i32| a + b + x);
/// ```
#[macro_export]
macro_rules! task {
    // Splits the list into the values and the patterns that take them.
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [] $argument:tt $(: $type:ty)? => $body:expr) => {
        $crate::process::Task::bind(($($value,)*), |($($pattern,)*), $argument $(: $type)?| $body)
            .expect("the task can be sent")
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [mut $next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(@bind [$($value,)* $next,] [$($pattern,)* mut $next,] [$($($rest)*)?] $($end)*)
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [$next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(@bind [$($value,)* $next,] [$($pattern,)* $next,] [$($($rest)*)?] $($end)*)
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [&$next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(
            @bind [$($value,)* ::core::clone::Clone::clone(&$next),] [$($pattern,)* $next,]
            [$($($rest)*)?] $($end)*
        )
    };
    ([$($captured:tt)*] || $body:expr) => {
        $crate::task!(@bind [] [] [$($captured)*] (): () => $body)
    };
    ([$($captured:tt)*] |$argument:tt $(: $type:ty)?| $body:expr) => {
        $crate::task!(@bind [] [] [$($captured)*] $argument $(: $type)? => $body)
    };
}
