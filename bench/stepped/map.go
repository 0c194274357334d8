package stepped

import "maps"

// MapOf is as much of xsync.MapOf as the engine uses. Its lock is a channel, since a
// goroutine that waits for a mutex is none that a bubble knows to be waiting.
type MapOf[K comparable, V any] struct {
	lock chan struct{}
	held map[K]V
}

// NewMapOf is xsync.NewMapOf.
func NewMapOf[K comparable, V any]() *MapOf[K, V] {
	return &MapOf[K, V]{lock: make(chan struct{}, 1), held: map[K]V{}}
}

func (m *MapOf[K, V]) Load(key K) (V, bool) {
	step()
	m.lock <- struct{}{}
	defer func() { <-m.lock }()
	v, ok := m.held[key]
	return v, ok
}

func (m *MapOf[K, V]) Store(key K, v V) {
	m.Compute(key, func(V, bool) (V, bool) { return v, false })
}

func (m *MapOf[K, V]) Compute(key K, f func(old V, loaded bool) (v V, drop bool)) (V, bool) {
	step()
	m.lock <- struct{}{}
	defer func() { <-m.lock }()
	old, loaded := m.held[key]
	v, drop := f(old, loaded)
	if drop {
		delete(m.held, key)
		return old, false
	}
	m.held[key] = v
	return v, true
}

func (m *MapOf[K, V]) Range(f func(K, V) bool) {
	step()
	m.lock <- struct{}{}
	all := maps.Clone(m.held)
	<-m.lock
	for k, v := range all {
		if !f(k, v) {
			return
		}
	}
}

func (m *MapOf[K, V]) Size() int {
	step()
	m.lock <- struct{}{}
	defer func() { <-m.lock }()
	return len(m.held)
}

// All is what m holds, without waiting, for the test.
func (m *MapOf[K, V]) All() map[K]V { return m.held }
