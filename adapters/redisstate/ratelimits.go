package redisstate

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxRefill bounds how long a burst takes to refill: Lua counts microseconds
// exactly up to 2^53, the time now included.
const maxRefill = 100 * 365 * 24 * time.Hour

// rateScript is the generic cell rate algorithm (GCRA) by the server's clock: of
// each key only the theoretical arrival time of its next request is kept, in
// microseconds, until it is past. ARGV: the interval between requests, how long the
// burst takes to refill, and 1 to take a request. The answer: 1 if it passes, and
// how far the arrival time is ahead of now.
var rateScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local ahead = (tonumber(redis.call('GET', KEYS[1])) or 0) - now
if ahead < 0 then ahead = 0 end
if ahead > burst then ahead = burst end
if ahead + interval > burst then return {0, ahead} end
if ARGV[3] == '1' then
  ahead = ahead + interval
  redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', string.format('%.0f', math.ceil(ahead / 1000)))
end
return {1, ahead}`)

// rateKey is of one length, and keeps names and addresses out of Redis.
func (s *State) rateKey(key string) []string {
	sum := sha256.Sum256([]byte(key))
	return []string{s.prefix + "rate:" + base64.RawURLEncoding.EncodeToString(sum[:16])}
}

// Allow implements ports.RateLimits.
func (s *State) Allow(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	return s.ask(ctx, key, r, 1)
}

// Peek implements ports.RateLimits.
func (s *State) Peek(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	return s.ask(ctx, key, r, 0)
}

// Reset implements ports.RateLimits.
func (s *State) Reset(ctx context.Context, key string) error {
	return s.do(ctx, func(ctx context.Context) error { return s.client.Del(ctx, s.rateKey(key)...).Err() })
}

func (s *State) ask(ctx context.Context, key string, r ports.Rate, take int) (ports.RateState, error) {
	if r.Limit < 1 || r.Per < 1 || r.Burst < 1 {
		return ports.RateState{}, domain.Errorf(domain.Invalid, "a rate needs a positive limit, time and burst")
	}
	// Rounded up, so that no more than Limit fit into Per.
	interval := ((r.Per-1)/time.Duration(r.Limit)/time.Microsecond + 1) * time.Microsecond
	if r.Burst > int64(maxRefill/interval) {
		return ports.RateState{}, domain.Errorf(domain.Invalid, "a burst of %d at one request each %v takes longer to refill than time can be told", r.Burst, interval)
	}
	burst := time.Duration(r.Burst) * interval
	var state ports.RateState
	err := s.do(ctx, func(ctx context.Context) error {
		got, err := rateScript.Run(ctx, s.client, s.rateKey(key), interval.Microseconds(), burst.Microseconds(), take).Int64Slice()
		if err != nil {
			return err
		}
		if len(got) != 2 || got[0] != 0 && got[0] != 1 || got[1] < 0 || got[1] > burst.Microseconds() {
			return nonsense(got)
		}
		ahead := time.Duration(got[1]) * time.Microsecond
		state = ports.RateState{
			Allowed:    got[0] == 1,
			Remaining:  int64((burst - ahead) / interval),
			RetryAfter: max(ahead+interval-burst, 0),
			Reset:      ahead,
		}
		return nil
	})
	return state, err
}
