//! The command line, as a user meets it.

mod interruption;
mod jobs;
mod managers;
mod managers_network;
mod messages;
mod objects;
mod pi;
mod run;
mod run_edges;
mod serving;
mod streams;
mod transports;

use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn main() -> std::process::ExitCode {
    let mut tests = testkit::tests![
        pi::one_transport_prints_the_value_alone,
        pi::every_transport_agrees_and_the_json_is_valid,
        pi::several_transports_make_a_table,
        pi::json_is_a_format,
        pi::any_number_of_terms_and_workers_is_within_four_ulp,
        pi::bad_input_is_a_usage_error,
        pi::an_unavailable_transport_named_is_an_error,
        pi::an_unavailable_transport_among_all_is_listed,
        pi::too_few_descriptors_is_an_error_that_names_the_limit,
        pi::a_pool_computes_the_same,
        transports::every_transport_is_listed_with_its_limits,
        transports::a_transport_that_cannot_run_says_why,
        transports::colour_is_asked_for_or_absent,
        interruption::ctrl_c_stops_the_workers_and_leaves_nothing,
        interruption::a_termination_request_does_too,
        interruption::ctrl_c_stops_the_computation_in_one_process,
        interruption::a_killed_run_leaves_nothing_after_the_next,
        interruption::a_killed_worker_is_named,
        messages::a_fifo_takes_what_any_program_writes,
        messages::a_queue_takes_messages_until_it_is_closed,
        messages::a_unix_connection_is_between_two,
        messages::a_network_connection_needs_the_key,
        messages::queues_of_the_kernel_keep_what_they_have,
        messages::files_and_datagrams_are_places_too,
        messages::a_wrong_address_is_a_usage_error,
        messages::another_users_places_are_refused_unless_asked_for,
        messages::standard_output_may_be_non_blocking,
        messages::a_signal_ends_a_receiver_and_leaves_nothing,
        messages::a_signal_ends_who_waits_for_input_or_for_the_reader_of_output,
        jobs::arguments_come_from_everywhere,
        jobs::jobs_do_not_mix_and_keep_their_order,
        jobs::the_exit_code_counts_failures,
        jobs::a_failure_ends_all_when_asked,
        jobs::time_memory_and_tries_are_bounded,
        jobs::a_log_is_written_and_gone_on_with,
        jobs::results_are_kept_in_files,
        jobs::a_dry_run_runs_nothing,
        jobs::the_first_signal_asks_and_the_second_kills,
        jobs::whoever_kills_the_command_leaves_no_jobs,
        jobs::a_slow_writer_of_arguments_keeps_no_job_waiting,
        streams::what_cannot_be_delivered_is_never_a_success,
        streams::who_reads_no_more_ends_the_command_as_any_other,
        streams::nobody_has_to_hear_what_is_said,
        streams::what_the_caller_ignores_and_blocks_jobs_do_too,
        streams::a_signal_that_the_caller_ignores_stops_nothing,
        streams::jobs_have_the_descriptors_that_the_caller_opened,
        streams::input_that_cannot_be_read_is_not_the_end,
        run_edges::the_first_of_several_sources_is_read_as_jobs_need_it,
        run_edges::a_source_without_end_takes_no_more_memory,
        run_edges::sources_that_cannot_be_had_are_said_before_any_job,
        run_edges::what_was_read_is_run_before_an_error_is_said,
        run_edges::an_argument_that_no_program_takes_is_one_failed_job,
        run_edges::an_argument_never_becomes_code,
        run_edges::arguments_need_not_be_utf_8,
        run_edges::many_arguments_on_the_command_line_are_taken,
        run_edges::each_job_has_results_of_its_own,
        run_edges::a_log_that_was_cut_is_gone_on_with,
        run_edges::a_log_that_cannot_be_written_starts_no_more_jobs,
        run_edges::a_log_is_written_by_one_run_at_a_time,
        run_edges::a_log_need_not_be_a_file,
        run_edges::numbers_that_are_too_large_are_meant_or_refused,
        objects::objects_are_listed_with_their_users,
        managers::objects_are_created_and_called,
        managers::programs_and_shells_share_objects,
        managers::objects_of_other_types_are_called_by_their_methods,
        managers::a_wrong_call_says_what_to_try,
        managers::a_server_ends_in_order,
        managers::a_server_tells_that_it_is_ready,
        managers::a_queue_of_a_manager_keeps_what_was_not_printed,
        managers::a_key_is_new_and_secret,
        managers_network::a_manager_is_called_over_tcp,
        managers_network::a_wrong_key_is_refused_and_the_server_unharmed,
        managers_network::messages_go_through_a_manager_over_tcp,
        objects::garbage_is_shown_first_and_removed_when_asked,
    ];
    tests.extend(run::tests());
    testkit::run(tests)
}

/// Every transport, as the command names and orders them; Redis is the last.
const NAMES: [&str; 15] = [
    "file",
    "pipe",
    "tcp",
    "udp",
    "unix",
    "socketpair",
    "fifo",
    "posix-mq",
    "sysv-mq",
    "posix-shm",
    "sysv-shm",
    "mmap",
    "redis",
    "queue",
    "channel",
];

fn procession(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("NO_COLOR");
    command
}

fn run(arguments: &[&str]) -> Output {
    procession(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether Redis can be tested; says loudly if not.
fn has_redis() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|it| it.join("redis-server").is_file());
    if !found {
        println!("NOT TESTED: redis, because redis-server is not installed");
    }
    found
}
