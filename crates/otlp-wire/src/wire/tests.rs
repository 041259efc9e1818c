// SPDX-License-Identifier: Apache-2.0
use super::*;

#[test]
fn varints_round_trip_and_know_their_length() {
    for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out.len(), varint_len(value), "{value}");
        let mut pos = 0;
        assert_eq!(read_varint(&out, &mut pos), Some(value));
        assert_eq!(pos, out.len());
    }
}

#[test]
fn varints_cut_short_or_too_long_are_refused() {
    for bytes in [&[][..], &[0x80], &[0xff; 9], &[0xff; 10], &[0xff; 11]] {
        assert_eq!(read_varint(bytes, &mut 0), None, "{bytes:?}");
    }
    let mut eleven_bits_over = [0x80; 10];
    eleven_bits_over[9] = 2;
    assert_eq!(read_varint(&eleven_bits_over, &mut 0), None);
}

#[test]
fn zigzag_matches_the_specification() {
    for (plain, coded) in
        [(0, 0), (-1, 1), (1, 2), (i32::MAX, 4_294_967_294), (i32::MIN, 4_294_967_295)]
    {
        assert_eq!(to_zigzag32(plain), coded);
        assert_eq!(zigzag32(coded), plain);
    }
}

#[test]
fn frames_close_canonically_whatever_width_was_guessed() {
    for width in 1..=4 {
        for len in [0, 1, 127, 128, 300, 16_384] {
            let mut out = vec![9];
            let frame = Frame::open(&mut out, 2, width);
            out.extend(std::iter::repeat_n(7, len));
            frame.close(&mut out);
            let mut expected = vec![9];
            put_len(&mut expected, 2, &vec![7; len]);
            assert_eq!(out, expected, "width {width}, length {len}");
        }
    }
}

#[test]
fn runs_are_found_with_their_tags() {
    let mut out = Vec::new();
    put_u64(&mut out, 1, 5);
    put_len(&mut out, 9, b"ab");
    put_len(&mut out, 9, b"");
    put_u64(&mut out, 10, 5);
    assert_eq!(run(&out, 9), 2..8);
    assert_eq!(run(&out, 10), 8..10);
    assert_eq!(run(&out, 3), 10..10);
}
