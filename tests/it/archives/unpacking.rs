//! The data file on its way out: windows, sizes, sums, limits, and trouble of the disk.

use super::*;

#[test]
fn an_lzma_stream_ends_at_its_marker_where_it_has_one() {
    let marked = |packed: Vec<u8>, size: i64| {
        let mut member = Member::raw(DATA, 14, packed, FEED.as_bytes());
        member.both(|header| header.flags |= 2);
        member.both(|header| header.size = (i64::from(header.size) + size) as u32);
        Archive::empty().member(member).bytes()
    };
    let packed = build::lzma_with_marker(FEED.as_bytes());
    imported(&marked(packed.clone(), 0), FEED.as_bytes());
    refused(&marked(packed.clone(), 1), "zip_inconsistent", "less than");
    refused(&marked(packed.clone(), -1), "zip_inconsistent", "more than");
    refused(
        &marked([&packed[..], b"hidden"].concat(), 0),
        "zip_inconsistent",
        "6 bytes behind",
    );
    refused(
        &marked(Method::Lzma.pack(FEED.as_bytes()), 0),
        "zip_unreadable",
        "damaged",
    );
}

/// One zstd frame with a window of `1 << log` bytes.
fn zstd_frame(data: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("into memory");
    encoder.window_log(log).expect("a valid window");
    std::io::Write::write_all(&mut encoder, data).expect("into memory");
    encoder.finish().expect("into memory")
}

#[test]
fn a_window_over_8_mib_is_refused_before_it_is_given() {
    let data = FEED.as_bytes();
    let of = |method: Method, packed: Vec<u8>| {
        Archive::empty()
            .member(Member::raw(DATA, method.number(), packed, data))
            .bytes()
    };
    imported(&of(Method::Lzma, build::lzma(data, 8 << 20)), data);
    imported(&of(Method::Xz, build::xz(data, 8 << 20)), data);
    imported(&of(Method::Zstd, zstd_frame(data, 23)), data);
    // The header is what is judged: the rest of the stream need not even be one.
    let mut lzma = build::lzma(data, 8 << 20);
    lzma[5..9].copy_from_slice(&(256u32 << 20).to_le_bytes());
    refused(&of(Method::Lzma, lzma), "zip_method", "268435456");
    let xz_stream = build::xz(data, 16 << 20);
    refused(&of(Method::Xz, xz_stream), "zip_method", "16777216");
    refused(&of(Method::Zstd, zstd_frame(data, 27)), "zip_method", "134217728");
    let single_segment = [b"\x28\xb5\x2f\xfd\xe0".to_vec(), (1u64 << 30).to_le_bytes().to_vec()].concat();
    refused(&of(Method::Zstd, single_segment), "zip_method", "1073741824");
}

#[test]
fn a_window_that_grows_later_is_refused_there() {
    let twice = [FEED, FEED].concat();
    let frames = [zstd_frame(FEED.as_bytes(), 20), zstd_frame(FEED.as_bytes(), 27)].concat();
    let zip = |packed: Vec<u8>| {
        Archive::empty()
            .member(Member::raw(DATA, 93, packed, twice.as_bytes()))
            .bytes()
    };
    refused(&zip(frames), "zip_method", "later on");
    let small = [zstd_frame(FEED.as_bytes(), 20), zstd_frame(FEED.as_bytes(), 20)].concat();
    imported(&zip(small), twice.as_bytes());
    let skippable = [
        b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(),
        zstd_frame(twice.as_bytes(), 27),
    ]
    .concat();
    refused(&zip(skippable), "zip_method", "later on");
}

#[test]
fn declared_sizes_are_not_believed() {
    for method in Method::ALL {
        let zip = |declared: i64| {
            let sized = |header: &mut build::Header| header.size = (i64::from(header.size) + declared) as u32;
            Archive::empty()
                .packed(method, DATA, FEED.as_bytes())
                .with(|member| member.both(sized))
                .bytes()
        };
        if method == Method::Stored {
            continue; // there the two sizes already disagree
        }
        for declared in [-10, -1] {
            // What an LZMA stream has too much may also look like rubbish behind it.
            let said = if method == Method::Lzma { "" } else { "more than" };
            refused(&zip(declared), "zip_inconsistent", said);
        }
        let violation = import(&zip(1)).expect_err("is refused");
        let expect = [ViolationCode::ZipInconsistent, ViolationCode::ZipUnreadable];
        assert!(expect.contains(&violation.code), "{method:?}: {violation:?}");
    }
}

#[test]
fn nothing_hides_behind_the_packed_data() {
    for method in Method::ALL {
        let mut packed = method.pack(FEED.as_bytes());
        packed.extend(b"hidden");
        let violation = import(
            &Archive::empty()
                .member(Member::raw(DATA, method.number(), packed, FEED.as_bytes()))
                .bytes(),
        )
        .expect_err("is refused");
        let expect = [ViolationCode::ZipInconsistent, ViolationCode::ZipUnreadable];
        assert!(expect.contains(&violation.code), "{method:?}: {violation:?}");
    }
}

#[test]
fn damaged_data_is_found_by_its_decoder_or_its_crc() {
    let wrong = honest().with(|member| member.both(|header| header.crc32 ^= 1));
    refused(&wrong.bytes(), "zip_checksum", "damaged on the way");
    let garbled = honest().with(|member| member.packed[3] ^= 0xff);
    assert!(import(&garbled.bytes()).is_err());
    for method in Method::ALL.into_iter().skip(1) {
        let packed = method.pack(FEED.as_bytes());
        for cut in 0..packed.len() {
            let member = Member::raw(DATA, method.number(), packed[..cut].to_vec(), FEED.as_bytes());
            assert!(
                import(&Archive::empty().member(member).bytes()).is_err(),
                "{method:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn declared_sizes_are_held_against_the_limits_first() {
    let check = |limits: Limits, code: &str| {
        let violation = import_within(&honest().bytes(), &limits).expect_err("is refused");
        assert_eq!(violation.code.as_str(), code);
    };
    check(
        Limits {
            unpacked_bytes: FEED.len() as u64 - 1,
            ratio: 200,
        },
        "too_large",
    );
    assert!(
        import_within(
            &honest().bytes(),
            &Limits {
                unpacked_bytes: FEED.len() as u64,
                ratio: 0
            }
        )
        .is_ok()
    );
    // Declared in zip64, so that no such file is needed: 10 GiB out of a hundred bytes.
    let bomb = honest().with(|member| {
        member.both(|header| {
            header.sizes_in_zip64();
            let at = header.extra.len() - 16;
            header.extra[at..at + 8].copy_from_slice(&(10u64 << 30).to_le_bytes());
        });
    });
    refused(&bomb.bytes(), "ratio", "over 200 times");
}

/// A bomb of zeros: 64 MiB of deflate out of 64 kB, as often as wanted, without ever being in memory.
#[test]
fn a_bomb_that_declares_little_ends_at_what_it_declares() {
    let zeros = vec![0; 64 << 20];
    let member = Member::raw(DATA, 8, Method::Deflate.pack(&zeros), &zeros);
    let small = |member: &Member, size: u32| {
        let mut member = member.clone();
        member.both(|header| header.size = size);
        Archive::empty().member(member).bytes()
    };
    refused(&small(&member, 1_000), "zip_inconsistent", "more than the 1000 bytes");
    let honest = Archive::empty().member(member).bytes();
    let violation = import_within(
        &honest,
        &Limits {
            unpacked_bytes: 1 << 20,
            ratio: 200,
        },
    )
    .expect_err("is refused");
    assert_eq!(violation.code, ViolationCode::TooLarge);
}

#[test]
fn limits_count_again_while_unpacking() {
    let bytes = honest().bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let member = contents.member.expect("a member");
    let small = Limits {
        unpacked_bytes: 10,
        ratio: 200,
    };
    assert!(matches!(
        archive::open(Cursor::new(&bytes), &member, &small),
        Err(archive::Error::Fault(violation)) if violation.code == ViolationCode::TooLarge
    ));
}

#[test]
fn what_is_opened_is_what_was_inspected() {
    let bytes = honest().bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let member = contents.member.expect("a member");
    let other = Archive::of(DATA, "[{\"event\":\"other\",\"id\":\"9\"}]").bytes();
    assert!(archive::open(Cursor::new(&other), &member, &LIMITS).is_err());
    let renamed = Archive::of(&DATA.replace("2019", "2018"), FEED).bytes();
    assert!(archive::open(Cursor::new(&renamed), &member, &LIMITS).is_err());
}

/// A disk that fails behind a byte.
struct Failing<'a>(Cursor<&'a [u8]>, u64);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.position() >= self.1 {
            true => Err(io::Error::from_raw_os_error(5)),
            false => {
                let room = ((self.1 - self.0.position()) as usize).min(buffer.len());
                self.0.read(&mut buffer[..room])
            }
        }
    }
}

impl Seek for Failing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn trouble_of_the_disk_is_not_the_archives_fault() {
    let bytes = honest().bytes();
    let size = bytes.len() as u64;
    let failing = |at: u64| Failing(Cursor::new(&bytes[..]), at);
    let inspected = archive::inspect(&mut failing(20), size, &name(), &LIMITS);
    assert!(matches!(inspected, Err(archive::Error::Io(_))));
    let member = archive::inspect(&mut failing(size), size, &name(), &LIMITS)
        .expect("no fault")
        .member;
    assert!(matches!(
        archive::open(failing(20), &member.expect("a member"), &LIMITS),
        Err(archive::Error::Io(_))
    ));
}

/// A disk that is well until the bytes of the data are read in earnest.
struct FailingLater<'a>(Cursor<&'a [u8]>, u64, u32);

impl Read for FailingLater<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.position() == self.1 {
            self.2 = self.2.saturating_sub(1);
            if self.2 == 0 {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        self.0.read(buffer)
    }
}

impl Seek for FailingLater<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn trouble_of_the_disk_while_unpacking_is_not_the_archives_fault() {
    for method in Method::ALL {
        let bytes = Archive::empty().packed(method, DATA, FEED.as_bytes()).bytes();
        let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS);
        let member = contents.expect("no fault").member.expect("a member");
        // The first read there looks at the window, the second begins to unpack.
        let disk = FailingLater(Cursor::new(&bytes), member.data_offset, 2);
        let error = match archive::open(disk, &member, &LIMITS) {
            Ok(mut reader) => reader.read_to_end(&mut Vec::new()).expect_err("the disk is gone"),
            Err(archive::Error::Io(error)) => error,
            Err(archive::Error::Fault(violation)) => panic!("{method:?}: {violation:?}"),
        };
        assert!(archive::fault_in(&error).is_none(), "{method:?}: {error:?}");
        assert!(error.to_string().contains("the disk is gone"), "{method:?}: {error:?}");
    }
}

#[test]
fn a_fault_is_recognised_through_wrapping_and_said_again() {
    let bytes = honest().with(|member| member.both(|header| header.crc32 ^= 1)).bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let mut reader = archive::open(Cursor::new(&bytes), &contents.member.expect("a member"), &LIMITS).expect("opens");
    let mut data = Vec::new();
    let error = reader.read_to_end(&mut data).expect_err("a wrong CRC-32");
    assert_eq!(data, FEED.as_bytes(), "what was read before the fault");
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
    assert_eq!(
        archive::fault_in(&wrapped).expect("a fault").code,
        ViolationCode::ZipChecksum
    );
    let again = reader.read(&mut [0; 10]).expect_err("nobody reads past a fault");
    assert!(archive::fault_in(&again).is_some());
    assert!(archive::fault_in(&io::Error::other("the disk's")).is_none());
    assert!(archive::fault_in(&io::ErrorKind::NotFound.into()).is_none());
}
