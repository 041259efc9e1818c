# SPDX-License-Identifier: Apache-2.0
"""Go modules that the published exporters and receivers name but the module proxy does not serve.

None of them has a part in what is compared: performance counters are Windows', `scrapertest` is for upstream's tests,
and the profiler's types are used for profiles, a signal that is never sent. Each is written here as just as much as the
compiler asks for, and put in its place by a `replace`.
"""

WINPERF = "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/winperfcounters"
SCRAPERTEST = "go.opentelemetry.io/collector/scraper/scrapertest"
PROFILER = "go.opentelemetry.io/ebpf-profiler"

# module -> {file: content}
MODULES = {
    WINPERF: {"empty.go": "package winperfcounters\n"},
    SCRAPERTEST: {"empty.go": "package scrapertest\n"},
    PROFILER: {
        "libpf/libpf.go": """package libpf

type FileID struct{}

func NewFileID(hi, lo uint64) FileID               { return FileID{} }
func FileIDFromString(text string) (FileID, error) { return FileID{}, nil }
func FileIDFromBytes(b []byte) (FileID, error)     { return FileID{}, nil }
func (FileID) Bytes() []byte                       { return nil }
func (FileID) Base64() string                      { return "" }
func (FileID) IsZero() bool                        { return true }

type FrameType byte

func FrameTypeFromString(text string) FrameType { return 0 }
func (FrameType) IsError() bool                 { return false }

type AddressOrLineno uint64
""",
        "libpf/basehash/basehash.go": """package basehash

type Hash128 struct{}

func New128(hi, lo uint64) Hash128              { return Hash128{} }
func New128FromBytes(b []byte) (Hash128, error) { return Hash128{}, nil }
func (Hash128) Base64() string                  { return "" }
func (Hash128) Bytes() []byte                   { return nil }
""",
        "libpf/xsync/xsync.go": """package xsync

import "sync"

type RWMutex[T any] struct {
	mutex *sync.RWMutex
	value T
}

func NewRWMutex[T any](value T) RWMutex[T] { return RWMutex[T]{&sync.RWMutex{}, value} }

func (m *RWMutex[T]) WLock() *T { m.mutex.Lock(); return &m.value }

func (m *RWMutex[T]) WUnlock(at **T) { *at = nil; m.mutex.Unlock() }
""",
    },
}


def write(folder):
    """Writes every module below `folder`; returns the lines of a builder manifest that put them in place."""
    lines = ["replaces:"]
    for module, files in MODULES.items():
        at = folder / module.rsplit("/", 1)[1]
        for name, content in {"go.mod": f"module {module}\n\ngo 1.25\n", **files}.items():
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            (at / name).write_text(content)
        lines.append(f"  - {module} => {at}")
    return lines
