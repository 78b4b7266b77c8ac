package redisstate

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// A link's key holds "D" for dead, or "A" and the run id of the server that was told
// it is alive. Another server, or the same after a restart, may have missed a tombstone
// since: what it finds of an earlier life counts as unknown.

var (
	checkScript = redis.NewScript(`
local v = redis.call('GET', KEYS[1])
if not v then return 0 end
if v == 'D' then return 2 end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
if v == 'A' .. run then return 1 end
return 0`)

	// momentScript gives the key's server's time in milliseconds, and its run id.
	momentScript = redis.NewScript(`
local t = redis.call('TIME')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
return {t[1] * 1000 + math.floor(t[2] / 1000), run}`)

	// keepScript: ARGV are the run id, and when the link ends, in the server's milliseconds.
	keepScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == 'D' then return 0 end
redis.call('SET', KEYS[1], 'A' .. ARGV[1], 'PXAT', ARGV[2])
return 1`)

	// buryScript: ARGV is the time to live in milliseconds. Where memory does not
	// permit a tombstone, the link is at least forgotten: DEL always works.
	buryScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == 'D' and redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
local r = redis.pcall('SET', KEYS[1], 'D', 'PX', ARGV[1])
if type(r) == 'table' and r.err then redis.call('DEL', KEYS[1]) end
return 1`)
)

func (s *State) linkKey(token domain.SecretHash) []string {
	return []string{s.prefix + "link:" + base64.RawURLEncoding.EncodeToString(token[:])}
}

// Get implements ports.LinkCache.
func (s *State) Get(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
	life := ports.LinkUnknown
	err := s.do(ctx, func(ctx context.Context) error {
		n, err := checkScript.Run(ctx, s.client, s.linkKey(token)).Int()
		switch {
		case err != nil:
			return err
		case n == 0:
		case n == 1:
			life = ports.LinkAlive
		case n == 2:
			life = ports.LinkDead
		default:
			return nonsense(n)
		}
		return nil
	})
	return life, err
}

// Put implements ports.LinkCache. A ttl that is not positive is domain.Invalid.
//
// The link's end is reckoned from the server's time, asked beforehand: a command
// that a stopped server finds in its socket when it goes on must not begin its ttl
// only then.
func (s *State) Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	if ttl <= 0 {
		return domain.Errorf(domain.Invalid, "a link is kept for a positive time")
	}
	key := s.linkKey(token)
	return s.do(ctx, func(ctx context.Context) error {
		moment, err := momentScript.Run(ctx, s.client, key).Slice()
		if err != nil {
			return err
		}
		if len(moment) != 2 {
			return nonsense(moment)
		}
		now, ok := moment[0].(int64)
		if run, isText := moment[1].(string); !ok || now <= 0 || !isText || run == "" {
			return nonsense(moment)
		}
		return keepScript.Run(ctx, s.client, key, moment[1], now+ttl.Milliseconds()).Err()
	})
}

// MarkDead implements ports.LinkCache. A ttl below a millisecond counts as one.
func (s *State) MarkDead(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	ms := max((ttl + time.Millisecond - 1).Milliseconds(), 1)
	return s.do(ctx, func(ctx context.Context) error {
		return buryScript.Run(ctx, s.client, s.linkKey(token), ms).Err()
	})
}
