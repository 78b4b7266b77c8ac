package request

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// clientShare is which part of all byte requests one client may have under way: slow
// readers of one address leave room for the others.
const clientShare = 16

// downloads counts the requests for image bytes that are under way: all of them, and each
// client's. A client is an address, or a whole /64 of IPv6 (app.ClientPrefix).
type downloads struct {
	most   int64
	all    atomic.Int64
	seed   maphash.Seed
	shards [64]downloadShard
}

type downloadShard struct {
	mu sync.Mutex
	n  map[string]int64 // by client; none is 0
}

func newDownloads(most int64) *downloads {
	d := &downloads{most: most, seed: maphash.MakeSeed()}
	for i := range d.shards {
		d.shards[i].n = map[string]int64{}
	}
	return d
}

// ofOne is how many one client may have.
func (d *downloads) ofOne() int64 { return max(d.most/clientShare, 1) }

func (d *downloads) shard(client string) *downloadShard {
	return &d.shards[maphash.String(d.seed, client)%uint64(len(d.shards))]
}

// begin takes a place for a client's request; leave gives it back.
func (d *downloads) begin(client string) error {
	if d.all.Add(1) > d.most {
		d.all.Add(-1)
		return domain.Errorf(domain.Unavailable, "too many downloads at once, try again")
	}
	s := d.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[client] >= d.ofOne() {
		d.all.Add(-1)
		return domain.LimitError(domain.RateLimited, d.ofOne(), "too many downloads at once from your address: %d are under way", d.ofOne())
	}
	s.n[client]++
	return nil
}

func (d *downloads) leave(client string) {
	d.all.Add(-1)
	s := d.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[client]--; s.n[client] == 0 {
		delete(s.n, client)
	}
}

// Admit bounds how many bodies are under way at a time.
func (q *Request) Admit() (release func(), err error) {
	client := app.ClientPrefix(q.address)
	if err := q.server.downloads.begin(client); err != nil {
		return nil, err
	}
	return func() { q.server.downloads.leave(client) }, nil
}
