use crate::by;
use procession::ErrorKind;
use procession::process::{self, StartMethod, Task};

#[process::task]
fn halve(number: i64) -> i64 {
    number / 2
}

#[process::task(name = "greet")]
pub(crate) fn greet((greeting, name): (String, String)) -> String {
    format!("{greeting}, {name}")
}

#[process::task(name = "twice listed")]
fn one(_: ()) {}

#[process::task(name = "twice listed")]
fn other(_: ()) {}

pub(crate) fn a_task_is_found_by_name(method: StartMethod) {
    assert_eq!(halve(6), 3);
    let path = concat!(module_path!(), "::halve");
    let task = Task::<i64, i64>::named(path).unwrap();
    assert_eq!(
        by(method).spawn_task(&task, -8).unwrap().join().unwrap(),
        -4
    );
    let task = Task::<(String, String), String>::named("greet").unwrap();
    // It travels by its name.
    let mut child = by(method)
        .spawn(
            |task: Task<(String, String), String>| {
                let words = ("hello".to_owned(), "name".to_owned());
                process::spawn_task(&task, words).unwrap().join().unwrap()
            },
            task,
        )
        .unwrap();
    assert_eq!(child.join().unwrap(), "hello, name");
}

pub(crate) fn a_name_that_does_not_fit_is_an_error() {
    let kind = |task: procession::Result<Task<(), ()>>| task.unwrap_err().kind();
    assert_eq!(kind(Task::named("absent")), ErrorKind::NotFound);
    assert_eq!(kind(Task::named("twice listed")), ErrorKind::InvalidInput);
    let error = Task::<(), ()>::named("greet").unwrap_err();
    assert!(error.to_string().contains("String"), "{error}");
    one(());
    other(());
    let names: Vec<_> = process::named_tasks()
        .map(process::NamedTask::name)
        .collect();
    assert!(names.contains(&"greet"), "{names:?}");
}
