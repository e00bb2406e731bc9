//! Wrong bytes anywhere: never a panic, never other data.

use super::*;

#[test]
fn a_single_wrong_byte_never_imports_other_data() {
    let zips = Method::ALL.map(|method| Archive::empty().packed(method, DATA, FEED.as_bytes()));
    let streamed = honest().with(|member| member.streamed(true, false));
    let zip64 = honest().with(|member| member.both(|header| header.sizes_in_zip64()));
    let zip64 = zip64.but(|archive| archive.end.zip64 = Some(Zip64::default()));
    for archive in zips.into_iter().chain([streamed, zip64]) {
        let whole = archive.bytes();
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let said = ends(&bytes);
                assert!(matches!(said, End::Whole | End::Missing));
                if let Ok((_, Some(data))) = import(&bytes) {
                    assert!(
                        data == FEED.as_bytes(),
                        "byte {at} changed by {change:02x} imports other data"
                    );
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(data in proptest::collection::vec(any::<u8>(), 0..5_000), method in 0..6_usize) {
        let bytes = Archive::empty().packed(Method::ALL[method], DATA, &data).bytes();
        let (_, got) = import(&bytes).expect("no fault");
        prop_assert_eq!(got, Some(data));
    }

    #[test]
    fn rubbish_between_good_records_never_panics(
        at in 0..400_usize,
        rubbish in proptest::collection::vec(any::<u8>(), 1..60),
        insert in any::<bool>(),
    ) {
        let mut bytes = honest().with(|member| member.streamed(true, true)).file("b", "b").bytes();
        let at = at.min(bytes.len());
        let end = if insert { at } else { (at + rubbish.len()).min(bytes.len()) };
        bytes.splice(at..end, rubbish);
        ends(&bytes);
        if let Ok((_, Some(data))) = import(&bytes) {
            prop_assert_eq!(data, FEED.as_bytes());
        }
    }

    #[test]
    fn pure_rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), as_zip in any::<bool>()) {
        let bytes = if as_zip { [b"PK\x03\x04", &bytes[..], b"PK\x05\x06", &[0; 18]].concat() } else { bytes };
        ends(&bytes);
        prop_assert!(import(&bytes).is_err() || bytes.starts_with(b"PK\x05\x06"));
    }

    #[test]
    fn any_name_is_classified_and_explained(name in "(event_history_?)?.{0,40}") {
        if let NameClass::NearMiss(violation) = classify(&name) {
            prop_assert!(!violation.detail.chars().any(char::is_control));
        }
    }
}
