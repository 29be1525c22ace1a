//! Octets to heads and bodies, beside one look at each octet.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use parlor_proto::cpim;
use parlor_proto::msrp::ChunkParser;

use crate::plane::Plane;
use crate::{TEXT, print_allocations};

pub fn benches(c: &mut Criterion) {
    chunks(c);
    wrappers(c);
}

fn chunks(c: &mut Criterion) {
    let plane = Plane::new(1, 1);
    let mut group = c.benchmark_group("parse a chunk");
    for size in [TEXT, 30_000] {
        let chunk = plane.message(0, size);
        let mut parser = ChunkParser::new();
        print_allocations(&format!("parse a chunk of {size}"), 1, || parse(&mut parser, &chunk));
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_with_input(BenchmarkId::new("parser", size), &chunk, |b, chunk| {
            b.iter(|| parse(&mut parser, black_box(chunk)));
        });
        group.bench_with_input(BenchmarkId::new("floor: memchr over the same octets", size), &chunk, |b, chunk| {
            b.iter(|| memchr::memchr_iter(b'\r', black_box(chunk)).count());
        });
    }
}

fn parse(parser: &mut ChunkParser, chunk: &Bytes) {
    let mut input = &chunk[..];
    while let Some(event) = parser.next(&mut input).unwrap() {
        black_box(&event);
    }
}

fn wrappers(c: &mut Criterion) {
    let mut group = c.benchmark_group("read a CPIM wrapper");
    for name in ["rfc7701-9.3", "sipsimple-text"] {
        let path = format!("{}/tests/wire/cpim/{name}.cpim", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(path).unwrap();
        print_allocations(&format!("read the wrapper of {name}"), 1, || {
            let _ = black_box(cpim::parse_complete(&body));
        });
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("wrapper", name), &body, |b, body| {
            b.iter(|| black_box(cpim::parse_complete(black_box(body)).unwrap()).headers().count());
        });
        group.bench_with_input(BenchmarkId::new("floor: memchr over the same octets", name), &body, |b, body| {
            b.iter(|| memchr::memchr_iter(b'\n', black_box(body)).count());
        });
    }
}
