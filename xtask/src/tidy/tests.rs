//! Each check sees what it is there to see, in small trees.

use std::fs;

use super::problems;

/// A workspace of one crate, `a`.
struct Tree(tempfile::TempDir);

impl Tree {
    /// With the ranks `low`, `middle`, `high`, and what else is to be in the
    /// table of the crate.
    fn new(files: &[(&str, &str)], rest: &str) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        let table = format!(
            "[crates.a]\nroot = \"src/lib.rs\"\n\
             ranks = [[\"low\"], [\"middle\"], [\"high\"]]\n{rest}"
        );
        tree.write("xtask/tidy.toml", &table);
        tree.write(
            "crates/a/src/lib.rs",
            "mod low; mod middle; mod high; pub use high::Top;",
        );
        for name in ["low", "middle"] {
            tree.write(&format!("crates/a/src/{name}.rs"), "");
        }
        tree.write("crates/a/src/high.rs", "pub struct Top;");
        for (path, text) in files {
            tree.write(&format!("crates/a/src/{path}"), text);
        }
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn problems(&self) -> Vec<String> {
        problems(self.0.path()).unwrap()
    }
}

#[track_caller]
fn one_problem(tree: &Tree, parts: &[&str]) {
    let problems = tree.problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for part in parts {
        assert!(problems[0].contains(part), "{part} in {problems:?}");
    }
}

#[track_caller]
fn no_problem(tree: &Tree) {
    assert_eq!(tree.problems(), [""; 0]);
}

const UPWARD: &str =
    "[[crates.a.upward]]\nfrom = \"low.rs\"\nto = \"high\"\nwhy = \"to be moved\"\n";

#[test]
fn imports_down_are_none_of_our_business() {
    let files = [
        ("high.rs", "use crate::middle::f; pub struct Top;"),
        ("middle.rs", "use super::low; pub fn f() { low::g() }"),
        ("low.rs", "pub fn g() {}"),
    ];
    no_problem(&Tree::new(&files, ""));
}

#[test]
fn an_import_up_is_found_however_it_is_written() {
    let ways = [
        "\nuse crate::high::Top;",
        "\nuse super::high::{Top as Other};",
        "\nuse crate::{high::*};",
        "\nfn f() { crate::high::Top; }",
        "\nfn f(_: crate::high::Top) {}",
        "\nfn f() { println!(\"{:?}\", crate::high::Top) }",
        "\nmacro_rules! m { () => { $crate::high::Top } }",
        "\nmod inner { pub struct S(super::super::high::Top); }",
        // Through what the root hands on.
        "\nuse crate::Top;",
        "\nuse crate as all; fn f() { all::high::Top; }",
    ];
    for way in ways {
        let tree = Tree::new(&[("low.rs", way)], "");
        one_problem(&tree, &["low.rs:2: `low` uses `high` (high.rs)"]);
    }
}

#[test]
fn an_import_of_the_same_rank_is_one_too() {
    let tree = Tree::new(
        &[
            ("low.rs", "use crate::beside::f;"),
            ("beside.rs", "pub fn f() {}"),
        ],
        "",
    );
    tree.write(
        "crates/a/src/lib.rs",
        "mod low; mod beside; mod middle; mod high;",
    );
    let table = "[crates.a]\nroot = \"src/lib.rs\"\nranks = [[\"low\", \"beside\"], [\"middle\"], [\"high\"]]";
    tree.write("xtask/tidy.toml", table);
    one_problem(&tree, &["low.rs:1: `low` uses `beside` (beside.rs)"]);
}

#[test]
fn what_only_tests_compile_may_use_all() {
    let text = "#[cfg(test)] mod tests { use crate::high::Top; }
        #[cfg(test)] use crate::high::Top;
        struct S; impl S { #[cfg(test)] fn f() -> crate::high::Top { crate::high::Top } }";
    no_problem(&Tree::new(&[("low.rs", text)], ""));
}

#[test]
fn an_exception_holds_while_it_is_needed() {
    let tree = Tree::new(&[("low.rs", "use crate::high::Top;")], UPWARD);
    no_problem(&tree);
    tree.write("crates/a/src/low.rs", "");
    one_problem(&tree, &["low.rs no longer uses `high`"]);
}

#[test]
fn an_exception_has_a_reason() {
    let tree = Tree::new(&[], &UPWARD.replace("to be moved", " "));
    let error = problems(tree.0.path()).unwrap_err();
    assert!(error.ends_with("an exception has no reason"), "{error}");
}

#[test]
fn each_module_has_a_rank_and_each_rank_a_module() {
    let tree = Tree::new(&[("new.rs", "")], "");
    tree.write(
        "crates/a/src/lib.rs",
        "mod low; mod middle; mod high; mod new;",
    );
    one_problem(&tree, &["`new` has no rank"]);
    tree.write("crates/a/src/lib.rs", "mod low; mod high;");
    one_problem(&tree, &["no module `middle`"]);
}

#[test]
fn a_circle_of_modules_is_found_by_its_files() {
    let files = [
        ("low.rs", "use crate::high::Top; pub fn f() {}"),
        ("high.rs", "mod part; pub use part::Top;"),
        ("high/part.rs", "pub struct Top; fn f() { crate::low::f() }"),
    ];
    let tree = Tree::new(&files, UPWARD);
    one_problem(&tree, &["(high, low): high/part.rs, low.rs"]);
    let circle =
        "[[crates.a.circle]]\nfiles = [\"high/part.rs\", \"low.rs\"]\nwhy = \"to be moved\"\n";
    let tree = Tree::new(&files, &format!("{UPWARD}{circle}"));
    no_problem(&tree);
    tree.write("crates/a/src/high/part.rs", "pub struct Top;");
    let problems = tree.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems
            .iter()
            .all(|it| it.contains("is in no circle any more"))
    );
}

#[test]
fn circles_inside_of_a_module_are_counted() {
    let files = [
        ("high.rs", "mod one; mod two; pub struct Top;"),
        ("high/one.rs", "pub fn f() { super::two::f() }"),
        ("high/two.rs", "pub fn f() { super::one::f() }"),
    ];
    one_problem(
        &Tree::new(&files, ""),
        &["2 files of `high` are in circles, 0 were"],
    );
    no_problem(&Tree::new(&files, "circles_inside = { high = 2 }"));
    let more = Tree::new(&files, "circles_inside = { high = 3 }");
    one_problem(&more, &["write that instead of 3"]);
}

#[test]
fn what_a_module_hands_on_is_used_where_it_is_defined() {
    // Or else all parts of a module were in a circle with its front.
    let files = [
        (
            "high.rs",
            "mod one; mod two; pub use one::One; pub use two::Top;",
        ),
        (
            "high/one.rs",
            "pub struct One; use super::Top; fn f(_: Top) {}",
        ),
        ("high/two.rs", "pub struct Top;"),
    ];
    no_problem(&Tree::new(&files, ""));
}

/// A name at an operation of each of these orders.
fn sync(name: &str, orders: &[&str]) -> String {
    let one = |order: &&str| {
        format!("fn f() {{\n    // SYNC({name}): why.\n    word.load(Ordering::{order});\n}}\n")
    };
    orders.iter().map(one).collect()
}

#[test]
fn a_name_of_an_order_stands_at_both_ends() {
    let problem = |orders: &[&str]| {
        let tree = Tree::new(&[], "");
        // Not compiled: any order will do.
        tree.write("crates/a/src/beside.rs", &sync("edge", orders));
        tree.problems()
    };
    let alone = ["SYNC(edge) has one end only, in a/beside"];
    assert_eq!(problem(&["Acquire"]), alone);
    assert_eq!(problem(&["Acquire", "Acquire"]), alone);
    assert_eq!(problem(&["Release", "Release"]), alone);
    assert_eq!(problem(&["SeqCst"]), alone);
    for pair in [
        ["Acquire", "Release"],
        ["SeqCst", "SeqCst"],
        ["AcqRel", "Acquire"],
    ] {
        assert_eq!(problem(&pair), [""; 0]);
    }
}

#[test]
fn one_name_is_one_order() {
    let both = sync("edge", &["Acquire", "Release"]);
    let tree = |rest: &str| {
        let tree = Tree::new(&[], rest);
        tree.write("crates/a/src/one.rs", &both);
        tree.write("crates/a/src/two.rs", &sync("edge", &["Acquire"]));
        tree
    };
    one_problem(&tree(""), &["several modules (a/one, a/two)"]);
    no_problem(&tree("[sync.across]\nedge = \"why\""));
    one_problem(
        &tree("[sync.several]\nedge = \"why\""),
        &["one end only, in a/two"],
    );
    let unneeded = Tree::new(&[], "[sync.lone]\nedge = \"why\"");
    one_problem(&unneeded, &["SYNC(edge) needs no exception"]);
}

#[test]
fn a_number_in_a_document_is_that_of_the_source() {
    let rules = "[[numbers]]\ndocument = \"layouts.md\"\nafter = \"version (\"\n\
        file = \"header.rs\"\nconstant = \"VERSION\"\n\
        [[numbers]]\ndocument = \"layouts.md\"\nafter = \"models: \"\nfile = \"loom.rs\"\n";
    let tree = Tree::new(&[], rules);
    tree.write("header.rs", "const VERSION: u64 = 5;");
    tree.write("loom.rs", "#[test]\nfn a() {}\n#[test]\nfn b() {}");
    tree.write("layouts.md", "version (5), models: 2");
    no_problem(&tree);
    tree.write("layouts.md", "version (4), models: 2");
    one_problem(&tree, &["`version (…` says 4, header.rs has 5"]);
    tree.write("layouts.md", "version (5), models: 3");
    one_problem(&tree, &["`models: …` says 3, loom.rs has 2"]);
    tree.write("layouts.md", "version (5)");
    one_problem(&tree, &["`models: …` does not stand there once"]);
}

#[test]
fn a_least_number_of_tests_is_neither_too_high_nor_far_too_low() {
    let rules = "[[numbers]]\ndocument = \"testing.md\"\nafter = \"at least \"\n\
        file = \"main.rs\"\nat_least = true\n";
    let tree = Tree::new(&[], rules);
    let tests: String = (0..10)
        .map(|number| format!("a::test_{number},\n"))
        .collect();
    tree.write("main.rs", &format!("tests![\n{tests}]; tests![b::one]"));
    for stated in [6, 10, 11] {
        tree.write("testing.md", &format!("at least {stated}"));
        no_problem(&tree);
    }
    for stated in [5, 12] {
        tree.write("testing.md", &format!("at least {stated}"));
        one_problem(&tree, &["main.rs has 11"]);
    }
}

#[test]
fn files_are_not_too_long() {
    let tree = Tree::new(&[("low.rs", &"fn f() {}\n".repeat(301))], "");
    one_problem(&tree, &["low.rs has 301 lines of code, 300 at most"]);
    let rest = "[long]\n\"crates/a/src/low.rs\" = 350\n";
    let tree = Tree::new(&[("low.rs", &"fn f() {}\n".repeat(350))], rest);
    no_problem(&tree);
    tree.write("crates/a/src/low.rs", &"fn f() {}\n".repeat(351));
    one_problem(&tree, &["351 lines of code, 350 at most"]);
    let short = format!("{}{}", "fn f() {}\n".repeat(300), "// Why.\n\n".repeat(99));
    tree.write("crates/a/src/low.rs", &short);
    one_problem(&tree, &["take it out of tidy.toml"]);
}

#[test]
fn public_functions_have_examples() {
    let bare = "/// Does.\npub fn f() {}\nfn private() {}\n#[doc(hidden)] pub fn g() {}";
    let rest = |count: usize| format!("without_example = {{ \"low.rs\" = {count} }}");
    let tree = Tree::new(&[("low.rs", bare)], "without_example = {}");
    one_problem(&tree, &["low.rs has 1 public functions", "it had 0"]);
    no_problem(&Tree::new(&[("low.rs", bare)], &rest(1)));
    one_problem(&Tree::new(&[("low.rs", bare)], &rest(2)), &["instead of 2"]);
    let shown = "/// Does.\n/// ```\n/// a::f();\n/// ```\npub struct S;\npub fn f() {}";
    no_problem(&Tree::new(&[("low.rs", shown)], "without_example = {}"));
}

#[test]
fn another_word_for_a_function_is_no_example_and_does_not_hide_it() {
    let bare = "/// Does.\n#[doc(alias = \"do\")]\npub fn f() {}";
    let tree = Tree::new(&[("low.rs", bare)], "without_example = {}");
    one_problem(&tree, &["low.rs has 1 public functions"]);
}

#[test]
fn methods_that_macros_make_have_examples() {
    let made = "macro_rules! make { ($type:ident) => { impl $type { pub fn f(self) {} } } }
        pub struct A; make!(A); pub struct B; make!(B);";
    let tree = Tree::new(&[("low.rs", made)], "without_example = {}");
    one_problem(&tree, &["low.rs has 2 public functions"]);
    let wrong = made.replace("make!(B)", "make!(3)");
    let tree = Tree::new(&[("low.rs", &wrong)], "without_example = {}");
    one_problem(&tree, &["low.rs: a call of `make!` is not understood"]);
}

#[test]
fn the_map_is_the_order_and_walks_lead_somewhere() {
    let tree = Tree(tempfile::tempdir().unwrap());
    let ranks = "[crates.procession]\nroot = \"src/lib.rs\"\nranks = [[\"low\"], [\"high\"]]";
    tree.write("xtask/tidy.toml", ranks);
    tree.write("crates/procession/src/lib.rs", "mod low; mod high;");
    tree.write("crates/procession/src/low.rs", "fn there<T>() {}");
    tree.write("crates/procession/src/high.rs", "");
    let map = "Inside `procession`:\n```text\nlow  # why\nhigh\n```\n`low.rs:there`";
    tree.write("ARCHITECTURE.md", map);
    no_problem(&tree);
    tree.write("ARCHITECTURE.md", &map.replace("there", "gone"));
    one_problem(&tree, &["no `low.rs:gone`"]);
    tree.write("ARCHITECTURE.md", &map.replace("high\n", ""));
    one_problem(&tree, &["the map has no row `high`"]);
    tree.write(
        "ARCHITECTURE.md",
        &map.replace("low  # why\nhigh", "high\nlow"),
    );
    one_problem(&tree, &["not in order"]);
}

#[test]
fn documentation_that_is_not_house_english_is_counted() {
    let wrong = [
        "/// Whether it is there.\npub fn f() {}",
        "/// The number of it.\npub fn f() {}",
        "/// This is what it does.\npub fn f() {}",
        "//! For the process who has it.",
        "/// Of a type. Whether it has one.\npub struct S;",
        "macro_rules! m { () => { /** The number.*/ pub fn f() {} } } m!();",
    ];
    for text in wrong {
        let tree = Tree::new(&[("low.rs", text)], "");
        let problems = tree.problems();
        assert!(
            problems.iter().all(|it| it.starts_with("a/low: prose: ")),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 1, "{text}");
    }
    let right = "//! A module.\n/// Returns `true` if it is there, or asks whether.\npub fn f() {}
        /// The number.\nfn g() {}\n/// ```\n/// // who\n/// ```\npub struct S;\n// who: a comment.";
    no_problem(&Tree::new(&[("low.rs", right)], ""));
    let rest = |count: usize| format!("[prose]\n\"a/low\" = {count}");
    no_problem(&Tree::new(&[("low.rs", wrong[0])], &rest(2)));
    one_problem(
        &Tree::new(&[("low.rs", wrong[0])], &rest(20)),
        &["write 2 into tidy.toml"],
    );
    one_problem(
        &Tree::new(&[("low.rs", right)], &rest(2)),
        &["take it out of tidy.toml"],
    );
}

#[test]
fn words_that_were_given_up_come_back_in_no_name() {
    let names = [
        "struct OldKeeper;",
        "fn to_tend() {}",
        "enum E { Lane }",
        "struct S { gates: u8 }",
    ];
    for text in names {
        let tree = Tree::new(&[("low.rs", text)], "");
        one_problem(&tree, &["a/low: words: 1 places"]);
        let tree = Tree::new(&[("low.rs", text)], "[words]\n\"a/low\" = 1");
        no_problem(&tree);
    }
    no_problem(&Tree::new(
        &[("low.rs", "fn attends() { let lane = 1; }")],
        "",
    ));
    let tree = Tree::new(&[("low.rs", "mod crew;"), ("low/crew.rs", "")], "");
    one_problem(&tree, &["a/low: words: 1 places"]);
}
