//! Facts of the file.

use super::*;

fn example() -> Redo {
    let writes =
        [(b"a".to_vec(), Some(b"one".to_vec())), (b"bc".to_vec(), None), (b"d".to_vec(), Some(Vec::new()))];
    Redo { sum: 0x0102, stamp: Some(b"s".to_vec()), writes: writes.into() }
}

fn bytes_of(redo: &Redo) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    redo.place(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(Redo::read(folder.path()).unwrap().as_ref(), Some(redo));
    let bytes = fs::read(folder.path().join(NAME)).unwrap();
    discard(folder.path()).unwrap();
    assert_eq!(Redo::read(folder.path()).unwrap(), None);
    discard(folder.path()).unwrap();
    bytes
}

/// With a sum that fits.
fn summed(mut content: Vec<u8>) -> Vec<u8> {
    content.extend(crc32c::crc32c(&content).to_le_bytes());
    content
}

#[test]
fn its_bytes_are_stable() {
    let content = b"LEVEREDO\x01\0\0\0\x02\x01\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0s\
        \x01\0\0\0a\x03\0\0\0one\x02\0\0\0bc\xff\xff\xff\xff\x01\0\0\0d\0\0\0\0";
    assert_eq!(bytes_of(&example()), summed(content.to_vec()));
    let without = Redo { stamp: None, ..example() };
    assert_eq!(&bytes_of(&without)[24..29], b"\xff\xff\xff\xff\x01");
}

#[test]
fn a_flipped_bit_or_a_missing_octet_is_damage() {
    let bytes = bytes_of(&example());
    for at in 0..bytes.len() {
        assert!(matches!(Redo::decode(&bytes[..at]), Err(KvError::Damaged(_))));
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(matches!(Redo::decode(&flipped), Err(KvError::Damaged(_))), "bit {bit} of octet {at}");
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_damage_though_the_sum_fits() {
    let bytes = bytes_of(&example());
    let content = &bytes[..bytes.len() - CRC_BYTES];
    for at in 0..content.len() {
        assert!(matches!(Redo::decode(&summed(content[..at].to_vec())), Err(KvError::Damaged(_))), "{at}");
        for octet in [0, 1, 0x7f, 0xff] {
            let mut other = content.to_vec();
            other[at] = octet;
            let _no_panic = Redo::decode(&summed(other));
        }
    }
    let longer = summed([content, b"\0"].concat());
    assert!(matches!(Redo::decode(&longer), Err(KvError::Damaged(_))));
}

#[test]
fn a_later_version_is_told_from_damage() {
    let bytes = bytes_of(&example());
    let mut later = bytes[..bytes.len() - CRC_BYTES].to_vec();
    later[8] = 2;
    assert!(matches!(Redo::decode(&summed(later)), Err(KvError::Version(2))));
}

#[test]
fn only_the_last_piece_has_the_stamp() {
    let writes = (0..20_u8).map(|key| (vec![9, key], Some(vec![key]))).collect();
    let redo = Redo { sum: 3, stamp: Some(vec![2]), writes };
    let pieces: Vec<_> = redo.pieces(vec![1, 2, 3]).collect();
    let sums: Vec<_> = pieces.iter().map(|(_, sum)| *sum).collect();
    let sizes: Vec<_> = pieces.iter().map(|(piece, _)| piece.len()).collect();
    let stamps: Vec<_> = pieces.iter().map(|(piece, _)| piece[&[1][..]].clone().unwrap()).collect();
    assert_eq!((sums, sizes), (vec![1, 2, 3], vec![9, 9, 5]));
    assert_eq!(stamps, [HALF_APPLIED, HALF_APPLIED, &[2]]);
}
