# SPDX-License-Identifier: Apache-2.0
"""A remote write receiver that decodes what it gets, 1.0 and 2.0, by the wire format alone."""

import collections
import http.server
import struct
import threading

STALE = 0x7FF0000000000002


def snappy(data):
    """Snappy's block format."""
    length, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(data[at:at + extra], "little")
                at += extra
            out += data[at:at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == length, (len(out), length)
    return bytes(out)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """Fields of a message by number; values as they are on the wire."""
    found, at = collections.defaultdict(list), 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        found[tag >> 3].append(value)
    return found


def one(message, number, default=0):
    return message[number][-1] if message[number] else default


def double(raw):
    """Bits, with every NaN but the stale one alike."""
    bits = struct.unpack("<Q", raw)[0] if raw else 0
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return "stale" if bits == STALE else "NaN" if value != value else value


def packed(message, number):
    out = []
    for raw in message[number]:
        if isinstance(raw, int):
            out.append(raw)
            continue
        at = 0
        while at < len(raw):
            value, at = varint(raw, at)
            out.append(value)
    return out


def zigzag(value):
    return value >> 1 ^ -(value & 1)


def buckets(message, spans, deltas):
    """Index to count, without empty buckets: how they are laid out is the sender's choice."""
    out, index, count = {}, 0, 0
    counts = iter(packed(message, deltas))
    for raw in message[spans]:
        span = fields(raw)
        index += zigzag(one(span, 1))
        for _ in range(one(span, 2)):
            count += zigzag(next(counts))
            if count:
                out[index] = count
            index += 1
    return tuple(sorted(out.items()))


def histogram(raw):
    message = fields(raw)
    total, time = double(one(message, 3, b"")), one(message, 15)
    if total == "stale":
        return (time, "stale")
    return (time, one(message, 1), total, zigzag(one(message, 4)), double(one(message, 5, b"")), one(message, 6),
            buckets(message, 8, 9), buckets(message, 11, 12), one(message, 17))


class Series:
    def __init__(self):
        self.samples, self.histograms, self.exemplars, self.metadata = [], [], [], set()

    def canonical(self):
        return (sorted(self.samples, key=repr), sorted(self.histograms, key=repr), sorted(self.exemplars, key=repr), sorted(self.metadata))


def canonical_labels(pairs):
    """An empty label is none."""
    return tuple(sorted((name, value) for name, value in pairs if value))


def read_v1(body, into, families):
    request = fields(body)
    label = lambda raw: tuple(one(fields(raw), number, b"").decode() for number in (1, 2))
    for raw in request[1]:
        message = fields(raw)
        series = into[canonical_labels(label(one_label) for one_label in message[1])]
        for sample in map(fields, message[2]):
            series.samples.append((one(sample, 2), double(one(sample, 1, b"")), 0))
        series.histograms += [histogram(raw) for raw in message[4]]
        for exemplar in map(fields, message[3]):
            labels = canonical_labels(label(raw) for raw in exemplar[1])
            series.exemplars.append((one(exemplar, 3), double(one(exemplar, 2, b"")), labels))
    for family in map(fields, request[3]):
        families.add((one(family, 2, b"").decode(), one(family, 1), one(family, 4, b"").decode(), one(family, 5, b"").decode()))


def read_v2(body, into, _families):
    request = fields(body)
    symbols = [raw.decode() for raw in request[4]]
    assert symbols[:1] == [""], symbols[:1]

    def labels(message):
        texts = [symbols[at] for at in packed(message, 1)]
        return canonical_labels(zip(texts[::2], texts[1::2]))

    for message in map(fields, request[5]):
        series = into[labels(message)]
        for sample in map(fields, message[2]):
            series.samples.append((one(sample, 2), double(one(sample, 1, b"")), one(sample, 3)))
        series.histograms += [histogram(raw) for raw in message[3]]
        for exemplar in map(fields, message[4]):
            series.exemplars.append((one(exemplar, 3), double(one(exemplar, 2, b"")), labels(exemplar)))
        told = fields(one(message, 5, b""))
        series.metadata.add((one(told, 1), symbols[one(told, 3)], symbols[one(told, 4)]))


class Sink:
    """Listens until the stack ends; keeps everything it was sent, decoded."""

    def __init__(self, stack, port):
        self.series, self.families = collections.defaultdict(Series), set()
        self.headers, self.errors = [], []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    sink.headers.append({name.lower(): value for name, value in self.headers.items()})
                    read = read_v2 if "v2.Request" in self.headers["content-type"] else read_v1
                    read(snappy(body), sink.series, sink.families)
                except Exception as error:  # told by the case
                    sink.errors.append(repr(error))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        stack.callback(self.server.shutdown)

    def canonical(self):
        """Series to what was sent of them; series without anything are none."""
        assert not self.errors, self.errors
        out = {labels: series.canonical() for labels, series in self.series.items()}
        return {labels: content for labels, content in out.items() if content[0] or content[1]}
