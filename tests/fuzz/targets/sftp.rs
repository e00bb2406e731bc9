#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feedgate_fuzz::targets::sftp::run(bytes));
