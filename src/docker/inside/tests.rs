//! Frames, lines and figures, as the engine sends them.

use bytes::Bytes;

use super::frames::{Frames, Piece};
use super::lines::Lines;
use super::usage::StatsReply;
use super::{Channel, LONGEST_LINE, Usage};

fn frame(channel: u8, text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&[channel, 0, 0, 0], &u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

/// All pieces of a stream that comes in chunks of this size.
fn pieces(stream: &[u8], chunk: usize) -> Result<Vec<Piece>, String> {
    let (mut frames, mut all) = (Frames::default(), vec![]);
    for chunk in stream.chunks(chunk) {
        frames.push(chunk);
        while let Some(piece) = frames.next()? {
            all.push(piece);
        }
    }
    Ok(all)
}

/// The log that comes out of frames, whatever chunks they come in: all must give the same.
fn log(frames: &[Vec<u8>], timestamps: bool) -> String {
    let stream = frames.concat();
    let read = |chunk: usize| {
        let (mut lines, mut out) = (Lines::new(timestamps), vec![]);
        for piece in pieces(&stream, chunk).unwrap() {
            out.extend_from_slice(&lines.take(&piece));
        }
        out.extend_from_slice(&lines.rest());
        String::from_utf8(out).unwrap()
    };
    let whole = read(stream.len().max(1));
    for chunk in [1, 3, 8, 13] {
        assert_eq!(read(chunk), whole, "in chunks of {chunk}");
    }
    whole
}

#[test]
fn frames_are_read_in_whatever_pieces_they_come() {
    let stream = [frame(1, "one\n"), frame(2, ""), frame(2, "two\n")].concat();
    let seen = pieces(&stream, stream.len()).unwrap();
    let texts: Vec<(Channel, &[u8])> = seen.iter().map(|piece| (piece.channel, &piece.bytes[..])).collect();
    assert_eq!(texts, [(Channel::Stdout, &b"one\n"[..]), (Channel::Stderr, b""), (Channel::Stderr, b"two\n")]);
    for chunk in 1..stream.len() {
        let joined = |channel| {
            let of_it = pieces(&stream, chunk).unwrap().into_iter().filter(|piece| piece.channel == channel);
            of_it.flat_map(|piece| piece.bytes.to_vec()).collect::<Vec<u8>>()
        };
        assert_eq!((joined(Channel::Stdout), joined(Channel::Stderr)), (b"one\n".to_vec(), b"two\n".to_vec()));
    }
}

#[test]
fn what_is_no_multiplexed_stream_is_refused() {
    assert!(pieces(b"hello world, this is a terminal", 7).unwrap_err().contains("not multiplexed"));
}

#[test]
fn lines_of_two_channels_stay_whole() {
    let seen = log(&[frame(1, "a long "), frame(2, "oh!\n"), frame(1, "story\n"), frame(1, "end")], false);
    assert_eq!(seen, "oh!\na long story\nend");
    assert_eq!(log(&[frame(1, "out"), frame(2, "err")], false), "out\nerr");
}

#[test]
fn a_line_stored_in_pieces_keeps_only_its_first_timestamp() {
    let first = "2026-08-21T10:00:00.000000001Z";
    let seen = log(
        &[frame(1, format!("{first} aa")), frame(2, "T2 err\n"), frame(1, format!("{first} b b\n")), frame(1, "T3 c\n")],
        true,
    );
    assert_eq!(seen, format!("T2 err\n{first} aab b\nT3 c\n"));
}

#[test]
fn a_line_without_end_is_broken_and_each_part_has_its_time() {
    let piece = |first: bool, bytes: Vec<u8>| Piece { channel: Channel::Stdout, bytes: bytes.into(), first };
    let mut lines = Lines::new(true);
    assert!(lines.take(&piece(true, b"T ".to_vec())).is_empty());
    let broken = lines.take(&piece(false, vec![b'x'; LONGEST_LINE]));
    assert!(broken.starts_with(b"T xx") && broken.ends_with(b"x\n"));
    assert_eq!(lines.take(&piece(false, b"y\n".to_vec())), Bytes::from_static(b"T y\n"));
}

#[test]
fn bytes_that_are_no_text_are_passed_on_as_they_are() {
    let mut lines = Lines::new(false);
    let piece = Piece { channel: Channel::Stdout, bytes: Bytes::from_static(b"\xff\x00\n"), first: true };
    assert_eq!(lines.take(&piece), Bytes::from_static(b"\xff\x00\n"));
}

fn usage(text: &str) -> Usage {
    serde_json::from_str::<StatsReply>(text).unwrap().into()
}

#[test]
fn figures_are_counted_as_docker_stats_counts_them() {
    let seen = usage(
        r#"{"precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000, "online_cpus": 2},
        "cpu_stats": {"cpu_usage": {"total_usage": 350}, "system_cpu_usage": 2000, "online_cpus": 2},
        "memory_stats": {"usage": 1000, "limit": 5000, "stats": {"inactive_file": 300}},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 5}, {"op": "Write", "value": 7},
            {"op": "write", "value": 1}]},
        "pids_stats": {"current": 4}}"#,
    );
    assert!((seen.cpu_percent - 50.0).abs() < 1e-9, "{seen:?}");
    assert_eq!((seen.memory_bytes, seen.memory_limit_bytes, seen.pids), (700, 5000, 4));
    assert_eq!((seen.network_received_bytes, seen.network_sent_bytes), (11, 22));
    assert_eq!((seen.block_read_bytes, seen.block_written_bytes), (5, 8));
    assert_eq!(seen.plus(seen).pids, 8);
}

#[test]
fn a_container_that_ended_uses_nothing() {
    let seen = usage(
        r#"{"precpu_stats": {}, "cpu_stats": {}, "memory_stats": {}, "networks": null,
        "blkio_stats": {"io_service_bytes_recursive": null}, "pids_stats": {}}"#,
    );
    assert_eq!(seen, Usage::default());
}
