// SPDX-License-Identifier: Apache-2.0
//! Breaking encoded messages: at random places, and with knowledge of their structure (fields
//! duplicated, removed, swapped, renumbered, replaced, inserted, with all outer lengths right).

use prost::encoding::{decode_varint, encode_varint};

use crate::random::Random;

/// How deep length-prefixed fields are tried as messages.
const DEPTH_MAX: usize = 14;

/// A message as a tree, by guess: what parses as a message is one.
#[derive(Clone, Debug)]
struct Node {
    number: u32,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Node>),
}

fn parse(mut buf: &[u8], depth: usize) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while !buf.is_empty() {
        let key = decode_varint(&mut buf).ok()?;
        let number = u32::try_from(key >> 3).ok().filter(|n| *n > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(decode_varint(&mut buf).ok()?),
            1 => {
                let (head, rest) = buf.split_first_chunk::<8>()?;
                buf = rest;
                Value::Fixed64(*head)
            }
            5 => {
                let (head, rest) = buf.split_first_chunk::<4>()?;
                buf = rest;
                Value::Fixed32(*head)
            }
            2 => {
                let len = usize::try_from(decode_varint(&mut buf).ok()?).ok()?;
                let (body, rest) = buf.split_at_checked(len)?;
                buf = rest;
                let message = depth < DEPTH_MAX && !body.is_empty();
                match message.then(|| parse(body, depth + 1)).flatten() {
                    Some(children) => Value::Message(children),
                    None => Value::Bytes(body.to_vec()),
                }
            }
            _ => return None,
        };
        nodes.push(Node { number, value });
    }
    Some(nodes)
}

fn encode(nodes: &[Node], out: &mut Vec<u8>) {
    for node in nodes {
        let tag =
            |wire: u64, out: &mut Vec<u8>| encode_varint(u64::from(node.number) << 3 | wire, out);
        match &node.value {
            Value::Varint(v) => {
                tag(0, out);
                encode_varint(*v, out);
            }
            Value::Fixed64(v) => {
                tag(1, out);
                out.extend_from_slice(v);
            }
            Value::Fixed32(v) => {
                tag(5, out);
                out.extend_from_slice(v);
            }
            Value::Bytes(v) => {
                tag(2, out);
                encode_varint(v.len() as u64, out);
                out.extend_from_slice(v);
            }
            Value::Message(children) => {
                let mut body = Vec::new();
                encode(children, &mut body);
                tag(2, out);
                encode_varint(body.len() as u64, out);
                out.extend_from_slice(&body);
            }
        }
    }
}

/// A random list of fields in the tree.
fn some_list<'t>(nodes: &'t mut Vec<Node>, random: &mut Random) -> &'t mut Vec<Node> {
    let messages: Vec<usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| matches!(n.value, Value::Message(_)))
        .map(|(i, _)| i)
        .collect();
    if messages.is_empty() || random.once_in(6) {
        return nodes;
    }
    let at = messages[random.below(messages.len())];
    match &mut nodes[at].value {
        Value::Message(children) => some_list(children, random),
        _ => unreachable!("only messages were listed"),
    }
}

fn leaf(random: &mut Random) -> Value {
    match random.below(4) {
        0 => Value::Varint(random.number()),
        1 => Value::Fixed64(random.bits().to_le_bytes()),
        2 => Value::Fixed32((random.bits() as u32).to_le_bytes()),
        _ => {
            let len = random.pick(&[0, 1, 2, 8, 16, 130]);
            Value::Bytes(if random.once_in(2) { random.bytes(len) } else { vec![b'x'; len] })
        }
    }
}

fn mutate_tree(nodes: &mut Vec<Node>, random: &mut Random) {
    let donor = some_list(nodes, random).clone();
    let list = some_list(nodes, random);
    let at = random.below(list.len());
    let number = if random.once_in(4) {
        random.pick(&[17, 99, 20_000])
    } else {
        1 + random.below(16) as u32
    };
    if list.is_empty() {
        list.push(Node { number, value: leaf(random) });
        return;
    }
    match random.below(8) {
        0 => {
            let copy = list[at].clone();
            list.push(copy);
        }
        1 => {
            list.remove(at);
        }
        2 => {
            let other = random.below(list.len());
            list.swap(at, other);
        }
        3 => list[at].number = number,
        4 => list[at].value = leaf(random),
        5 => {
            let copy = list[at].clone();
            list.insert(random.below(list.len() + 1), copy);
        }
        6 if !donor.is_empty() => list.push(donor[random.below(donor.len())].clone()),
        _ => list.insert(at, Node { number, value: leaf(random) }),
    }
}

fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    if bytes.is_empty() {
        return bytes.push(random.bits() as u8);
    }
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        2 => bytes.truncate(at),
        3 => {
            bytes.remove(at);
        }
        4 => bytes.insert(at, random.bits() as u8),
        _ => {
            let end = (at + random.below(20)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.extend(copy);
        }
    }
}

/// Breaks `bytes` in one to three ways.
pub fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(3) {
        match parse(&bytes, 0) {
            Some(mut nodes) if !random.once_in(4) => {
                mutate_tree(&mut nodes, random);
                bytes.clear();
                encode(&nodes, &mut bytes);
            }
            _ => mutate_bytes(&mut bytes, random),
        }
    }
    bytes
}

/// Breaks text at random bytes.
pub fn mutate_text(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(text.len() + 1);
        match random.below(3) {
            0 => text.insert(at, random.pick(b"{}[],:\"\\0e-.nt ")),
            _ => mutate_bytes(&mut text, random),
        }
    }
    text
}
