package stepped

import "sync/atomic"

// The types of sync/atomic that the engine uses. Each operation waits for its turn.

// Int32 is atomic.Int32.
type Int32 struct{ word atomic.Int32 }

func (x *Int32) Load() int32 {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Int32) Peek() int32 { return x.word.Load() }

func (x *Int32) Store(v int32) {
	step()
	x.word.Store(v)
}

func (x *Int32) Swap(v int32) int32 {
	step()
	return x.word.Swap(v)
}

func (x *Int32) CompareAndSwap(old, v int32) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}

func (x *Int32) Add(v int32) int32 {
	step()
	return x.word.Add(v)
}

// Int64 is atomic.Int64.
type Int64 struct{ word atomic.Int64 }

func (x *Int64) Load() int64 {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Int64) Peek() int64 { return x.word.Load() }

func (x *Int64) Store(v int64) {
	step()
	x.word.Store(v)
}

func (x *Int64) Swap(v int64) int64 {
	step()
	return x.word.Swap(v)
}

func (x *Int64) CompareAndSwap(old, v int64) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}

func (x *Int64) Add(v int64) int64 {
	step()
	return x.word.Add(v)
}

// Uint32 is atomic.Uint32.
type Uint32 struct{ word atomic.Uint32 }

func (x *Uint32) Load() uint32 {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Uint32) Peek() uint32 { return x.word.Load() }

func (x *Uint32) Store(v uint32) {
	step()
	x.word.Store(v)
}

func (x *Uint32) Swap(v uint32) uint32 {
	step()
	return x.word.Swap(v)
}

func (x *Uint32) CompareAndSwap(old, v uint32) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}

func (x *Uint32) Add(v uint32) uint32 {
	step()
	return x.word.Add(v)
}

func (x *Uint32) And(v uint32) uint32 {
	step()
	return x.word.And(v)
}

func (x *Uint32) Or(v uint32) uint32 {
	step()
	return x.word.Or(v)
}

// Uint64 is atomic.Uint64.
type Uint64 struct{ word atomic.Uint64 }

func (x *Uint64) Load() uint64 {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Uint64) Peek() uint64 { return x.word.Load() }

func (x *Uint64) Store(v uint64) {
	step()
	x.word.Store(v)
}

func (x *Uint64) Swap(v uint64) uint64 {
	step()
	return x.word.Swap(v)
}

func (x *Uint64) CompareAndSwap(old, v uint64) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}

func (x *Uint64) Add(v uint64) uint64 {
	step()
	return x.word.Add(v)
}

func (x *Uint64) And(v uint64) uint64 {
	step()
	return x.word.And(v)
}

func (x *Uint64) Or(v uint64) uint64 {
	step()
	return x.word.Or(v)
}

// Bool is atomic.Bool.
type Bool struct{ word atomic.Bool }

func (x *Bool) Load() bool {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Bool) Peek() bool { return x.word.Load() }

func (x *Bool) Store(v bool) {
	step()
	x.word.Store(v)
}

func (x *Bool) Swap(v bool) bool {
	step()
	return x.word.Swap(v)
}

func (x *Bool) CompareAndSwap(old, v bool) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}

// Pointer is atomic.Pointer.
type Pointer[T any] struct{ word atomic.Pointer[T] }

func (x *Pointer[T]) Load() *T {
	step()
	return x.word.Load()
}

// Peek is Load without waiting, for the test.
func (x *Pointer[T]) Peek() *T { return x.word.Load() }

func (x *Pointer[T]) Store(v *T) {
	step()
	x.word.Store(v)
}

func (x *Pointer[T]) Swap(v *T) *T {
	step()
	return x.word.Swap(v)
}

func (x *Pointer[T]) CompareAndSwap(old, v *T) bool {
	step()
	return x.word.CompareAndSwap(old, v)
}
