package mongo

import "time"

// portion is how many events the change stream brings at a time. A batch that takes
// longer to arrive than the stream may be silent is never received: the stream is
// opened again, and the same batch comes again. So then half as many are asked for,
// down to one, and more again once they come quickly. The zero value is all.
type portion struct {
	halved int
}

// streamBatch is how many events come at a time if nothing is in the way.
const streamBatch int32 = 1000

func (p *portion) size() int32 { return max(1, streamBatch>>p.halved) }

// late: a batch has not come in time.
func (p *portion) late() {
	if p.size() > 1 {
		p.halved++
	}
}

// came: a batch of n has come, which took that long of the time that it had. One that
// is not full does not tell how long twice as many would take; and twice as many as
// come in a quarter of the time have as much to spare again.
func (p *portion) came(n int, took, had time.Duration) {
	if p.halved > 0 && n >= int(p.size()) && took < had/4 {
		p.halved--
	}
}
