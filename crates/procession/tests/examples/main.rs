//! Every example is run, and prints what it should.

use std::collections::BTreeMap;

const PI: &str = "3.1415926504066944\n";

fn main() -> std::process::ExitCode {
    let mut tests = testkit::examples::tests(env!("CARGO_MANIFEST_DIR"), expected());
    tests.extend(testkit::tests![a_dictionary_and_a_queue_take_sixteen_lines]);
    testkit::run(tests)
}

/// What is neither empty nor a comment.
fn a_dictionary_and_a_queue_take_sixteen_lines() {
    let lines = include_str!("../../examples/71_manager_queue.rs").lines();
    let code = lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//"));
    assert!(code.count() <= 16);
}

fn expected() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        (
            "01_fork_one",
            "in child process; my parent is the one that forked me: true\n\
             in parent process; my child is another: true\n",
        ),
        (
            "02_fork_ten",
            "child process 0\nchild process 1\nchild process 2\nchild process 3\n\
             child process 4\nchild process 5\nchild process 6\nchild process 7\n\
             child process 8\nchild process 9\n",
        ),
        (
            "03_kill",
            "killed by SIGKILL\nkilled by SIGTERM\nkilled by SIGINT\n",
        ),
        (
            "04_zombie",
            "before waiting: zombie <defunct>: true\nafter waiting: 0 children\n",
        ),
        (
            "05_raw_status",
            "raw 15, signal Some(Signal(15)), killed by SIGTERM\n\
             raw 768, code Some(3), exited with code 3\n",
        ),
        (
            "06_ignore_then_kill",
            "SIGTERM sent\nthe child is still there: true\nSIGKILL sent: killed by SIGKILL\n",
        ),
        (
            "07_own_handler",
            "SIGTERM: child will die\nexited with code 0\n",
        ),
        ("08_pi_single", PI),
        ("09_pi_temporary_file", PI),
        ("10_pi_pipe", PI),
        ("11_pi_tcp", PI),
        ("12_pi_unix", PI),
        ("13_pi_socketpair", PI),
        ("14_pi_fifo", PI),
        ("15_pi_posix_mq", PI),
        ("16_pi_sysv_mq", PI),
        ("17_pi_posix_shm", PI),
        ("18_pi_sysv_shm", PI),
        ("19_pi_mmap", PI),
        (
            "21_fifo_outside_writer",
            "start read pipe data\nts\nwriter close\nstart read pipe data\nts\nwriter close\n",
        ),
        (
            "22_sysv_message_types",
            "the sender is gone, 5 messages wait\n\
             type = 0, the first: five (type 5)\n\
             type = 9, the first of type 9: nine (type 9)\n\
             type = -4, the lowest up to 4: two (type 2)\n\
             any but 2: three (type 3)\n\
             the first again: two again (type 2)\n",
        ),
        (
            "23_posix_messages",
            "told by SIGUSR1\nthe name is gone: true\n9: urgent\n5: soon\n0: can wait\n",
        ),
        (
            "24_semaphore_three_of_five",
            "acquire sem\nacquire sem\nacquire sem\nthe other two wait: true\n\
             release sem\nacquire sem\nrelease sem\nacquire sem\nall left, 3 permits\n",
        ),
        (
            "25_semaphore_set",
            "three of one and one of the other, at once: [2, 0]\n\
             three more in 10 ms: true\n\
             the child took the rest: [0, 0]\n\
             killed, and undone: [2, 0]\n",
        ),
        (
            "26_named_semaphore_and_memory",
            "64 bytes: left here by the other program\ngone: true\n",
        ),
        (
            "27_sysv_shared_memory",
            "hello from the child\nattached 1 time\nremoved: true, and no longer found: true\n\
             still readable: hello\ngone: true\n",
        ),
        (
            "28_mmap_writer_reader",
            "read msg 1\nread msg 1 msg 2\nread msg 1 msg 2 msg 3\n\
             read msg 1 msg 2 msg 3 msg 4\nread msg 1 msg 2 msg 3 msg 4 msg 5\n\
             read msg 1 msg 2 msg 3 msg 4 msg 5 msg 6\n\
             read msg 1 msg 2 msg 3 msg 4 msg 5 msg 6 msg 7\n\
             read msg 1 msg 2 msg 3 msg 4 msg 5 msg 6 msg 7 msg 8\n\
             read msg 1 msg 2 msg 3 msg 4 msg 5 msg 6 msg 7 msg 8 msg 9\n\
             read msg 1 msg 2 msg 3 msg 4 msg 5 msg 6 msg 7 msg 8 msg 9 msg 10\n",
        ),
        ("29_udp", "are you there?\nthe sender exited with code 0\n"),
        (
            "30_packets_and_descriptors",
            "a message of Some(3) bytes\na message of Some(5) bytes\n\
             a file: written by the child, read by the parent\nend of file: None\n",
        ),
        (
            "32_process",
            "hello, test\nthe child's id is the one we know: true\n\
             its parent is this process: true\n",
        ),
        (
            "33_how_tasks_end",
            "return: a value\nexit: exited with code 7 instead of returning\n\
             late: killed at its deadline\nkill: killed by SIGKILL\n\
             terminate: killed by SIGTERM\nzombies: 0\n",
        ),
        ("34_stop", "stopped when asked\nstopped by force\n"),
        ("35_pi_tasks", PI),
        (
            "36_subprocess",
            "exit code: Some(3)\nexit\npython.org\nset q=mx\n\
             `sh -c 'echo trying; echo no such host >&2; exit 1'` exited with code 1: no such host\n\
             `sleep 60` did not end in time and was killed\na\nb\n",
        ),
        ("37_captures_and_handles", "<0> <1> <2> <3> <4>\n"),
        (
            "38_start_methods",
            "fork: the count is 7\nspawn: the count is 0\nforkserver: the count is 0\n",
        ),
        ("39_mutex", "total: 10000\n"),
        (
            "40_owner_died",
            "a process died holding the lock, and left [70, 0]\nrepaired: [70, 30]\n\
             an ordinary lock again: true\nthe task was killed by SIGKILL\n",
        ),
        (
            "41_semaphores",
            "one more? false\nthe dead guest's seat is free\nseats: 2\n\
             one too many: adding permits: there can be 1 at most\n",
        ),
        (
            "42_condvar_and_event",
            "consumed: 60\nwaiting for event: timed out\ngreen: true\n",
        ),
        (
            "43_barrier",
            "all three passed: [0, 1, 2]\nwaiting at barrier: the barrier is broken\n\
             broken after a reset: false\n",
        ),
        (
            "44_value_and_array",
            "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n\
             Extremes { least: 0.0, most: 9.0 }\ndone: 10\n",
        ),
        ("45_pi_shared", PI),
        (
            "46_named",
            "jobs: 3\nopening shared object `example-jobs`: it is of kind mutex, not event\n\
             example-jobs: mutex, in use: true\nexample-ready: event, in use: true\ngone: true\n",
        ),
        (
            "47_segments",
            "hello world\non a disk\na second one: true\nleft behind: false\n",
        ),
        (
            "48_queue",
            "empty: true\nread: ABCDE\nfull: true\nleft: 1, then receiving from queue: \
             the queue is empty, and no sender is left or it was closed\n",
        ),
        (
            "49_redelivery",
            "waiting: 0\nthe only job, redelivered: true\n",
        ),
        ("50_pi_queue", PI),
        (
            "51_duplex",
            "3 squared is 9\n4 squared is 16\n[3, 2, 1]\nreceiving from channel: the other end is gone, and everything that it sent was received\n",
        ),
        ("52_joinable", "done: 6\nworkers that lived: 1\n"),
        (
            "53_priorities",
            "2: put out the fire\n2: call for help\n1: cook\n0: sweep\n50 messages, in order: true\n",
        ),
        ("54_select", "ended, half, result 1, result 2\n"),
        (
            "55_connections",
            "Incompatible, then hello, Ada\nIncompatible, then hello, Grace\n",
        ),
        ("56_network", "PermissionDenied, then 42\n"),
        ("57_without_copies", "10485760\n"),
        ("58_answers", "one: 1\ntwo words: 2\nand three words: 3\n"),
        ("59_pi_channel", PI),
        ("60_futures", "10100\n"),
        ("61_pool", "waiting for all tasks to be done\ndone: 5\n"),
        (
            "62_pool_map",
            "[false, true, true, false, true, false, true]\n\
             the first prime beyond 10^12: 1000000000039\nprimes up to 100000: 9592\n",
        ),
        (
            "63_pool_failures",
            "10\n20\ntask 2: panicked at crates/procession/examples/63_pool_failures.rs:8:14: \
             no such patient\n40\ntask 4: killed by SIGABRT\n60\n\
             task 6: exited with code 1 instead of returning\n80\n\
             task 8: killed at its deadline\n100\nattempts: 3\n",
        ),
        (
            "64_pool_state",
            "[\"line 0\", \"line 4711\", \"line 99999\"]\n",
        ),
        ("65_pool_cancel", "it has counted: true\ntrue\ntrue\n"),
        ("66_pool_future", "25\n"),
        (
            "67_pool_shutdown",
            "it was interrupted, and all was done: true\n",
        ),
        ("68_pi_pool", PI),
        (
            "69_manager",
            "t: Some(5), e: Some(2)\n[\"a tin of tea\", \"tea and toast\"]\n",
        ),
        ("71_manager_queue", "[(\"tea\", 3), (\"bread\", 5)]\n"),
        ("72_manager_per_test", "both pass, whichever is first\n"),
        ("73_remote_workers", "100 squares, their sum is 338350\n"),
        (
            "70_own_object",
            "4 pages\nstart: Some(\"welcome\")\npage 2: Some(\"text 2\")\n\
             panicked: a page has a name\nstill 4 pages\ntested\n",
        ),
    ])
}
