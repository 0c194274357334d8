package pool

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestJobsBeginInTheirOrderAndHandPlainDataOver(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const jobs = 5_000
		p := newPool(t, Config{Workers: 1})
		var got []int // plain: with one worker at a time, each job sees what the one before wrote
		for n := range jobs {
			data := n
			if err := p.Submit(func() { got = append(got, data) }); err != nil {
				t.Fatal(err)
			}
		}
		closePool(t, p)
		if len(got) != jobs {
			t.Fatalf("%d jobs ran, want %d", len(got), jobs)
		}
		for i, n := range got {
			if i != n {
				t.Fatalf("job %d began as number %d", n, i)
			}
		}
	})
}

func TestNoMoreWorkersThanConfigured(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const workers, jobs = 3, 3_000
		p := newPool(t, Config{Workers: workers})
		var now, most, ran atomic.Int64
		together(4, func(int) {
			for range jobs / 4 {
				if err := p.Submit(func() {
					if n := now.Add(1); n > workers {
						t.Errorf("%d jobs at once", n)
					} else if n > most.Load() {
						most.Store(n)
					}
					runtime.Gosched()
					now.Add(-1)
					ran.Add(1)
				}); err != nil {
					t.Error(err)
				}
			}
		})
		closePool(t, p)
		if ran.Load() != jobs {
			t.Errorf("%d jobs ran, want %d", ran.Load(), jobs)
		}
		if most.Load() == 0 {
			t.Error("no job was counted")
		}
		if s := p.Stats(); s.JobsDone != jobs || s.JobsSubmitted != jobs || s.JobsRunning != 0 || s.JobsWaiting != 0 || s.Workers != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The next job comes at the very moment at which the only worker leaves.
func TestNoJobIsLeftLying(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		p := newPool(t, Config{Workers: 1})
		var ran atomic.Int64
		for n := range int64(20_000) {
			if err := p.Submit(func() { ran.Add(1) }); err != nil {
				t.Fatal(err)
			}
			eventually(t, fmt.Sprintf("job %d has run", n), func() bool { return ran.Load() > n })
		}
	})
}

func TestSubmitNeverBlocksButRefuses(t *testing.T) {
	const workers, waiting = 2, 3
	p := newPool(t, Config{Workers: workers, Waiting: waiting})
	hold := make(chan struct{})
	var ran atomic.Int64
	job := func() {
		<-hold
		ran.Add(1)
	}
	// All of this on one goroutine, with no job ending: whatever blocks, blocks for ever.
	for range workers + waiting {
		if err := p.Submit(job); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := p.Submit(job); !errors.Is(err, ErrBusy) {
			t.Fatalf("Submit returned %v, want ErrBusy", err)
		}
	}
	eventually(t, "all workers have a job", func() bool { return p.Stats().JobsWaiting == waiting })
	if s := p.Stats(); s.JobsRunning != workers || s.JobsRefused != 3 || s.Workers != workers {
		t.Errorf("%+v", s)
	}
	close(hold)
	eventually(t, "there is room again", func() bool { return p.Submit(job) == nil })
	closePool(t, p)
	if n := ran.Load(); n != workers+waiting+1 {
		t.Errorf("%d jobs ran", n)
	}
}

func TestPanicEndsOnlyItsJob(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func()
		want  string
	}{
		{"value", func() { panic("broken") }, "broken"},
		{"nil", func() { panic(any(nil)) }, "nil"},
		{"Goexit", func() { runtime.Goexit() }, ErrExited.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log syncBuffer
			p := newPool(t, Config{Workers: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var ran atomic.Int64
			// The second job waits behind the first on the only worker.
			for _, job := range []func(){c.fault, func() { ran.Add(1) }} {
				if err := p.Submit(job); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the job behind it has run", func() bool { return ran.Load() == 1 })
			closePool(t, p)
			if s := p.Stats(); s.JobPanics != 1 || s.JobsDone != 2 {
				t.Errorf("%+v", s)
			}
			for _, want := range []string{"panic in a job", c.want, "workers_test.go"} {
				if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), want) {
					t.Errorf("the log does not tell %q: %s", want, log.String())
				}
			}
		})
	}
}

func BenchmarkSubmit(b *testing.B) {
	const jobs = 100
	var wg sync.WaitGroup
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
	}
	b.Run("Submit", func(b *testing.B) {
		b.ReportAllocs()
		p := newPool(b, Config{})
		for b.Loop() {
			wg.Add(jobs)
			for range jobs {
				_ = p.Submit(wg.Done)
			}
			wg.Wait()
		}
		report(b)
	})
	b.Run("go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wg.Add(jobs)
			for range jobs {
				go wg.Done()
			}
			wg.Wait()
		}
		report(b)
	})
}
