package domain

import "math"

// Limit is an upper or lower bound that may be absent.
type Limit int64

// NoLimit is the absent bound ("null" in the contract). It is the most generous value of all.
const NoLimit Limit = -1

// Allows reports whether n is within the limit as an upper bound.
func (l Limit) Allows(n int64) bool { return l == NoLimit || n <= int64(l) }

// Max is the limit as an upper bound: math.MaxInt64 where there is none.
func (l Limit) Max() int64 {
	if l == NoLimit {
		return math.MaxInt64
	}
	return int64(l)
}

// Within returns the stricter of two upper bounds.
func (l Limit) Within(other Limit) Limit {
	if l == NoLimit || (other != NoLimit && other < l) {
		return other
	}
	return l
}

// moreGenerous returns the wider of two upper bounds.
func (l Limit) moreGenerous(other Limit) Limit {
	if l == NoLimit || other == NoLimit {
		return NoLimit
	}
	return max(l, other)
}

// The range of a link's life in whole seconds, whatever a tier says; a tier may narrow it.
const (
	MinLinkSeconds = 30
	MaxLinkSeconds = 30000
)

// Limits are a tier's bounds. NoLimit in a field means none; for the two link
// fields it means the whole range of 30 to 30000 seconds.
type Limits struct {
	MaxUploadBytes    Limit // of one original
	MaxPixels         Limit // width × height
	MaxFrames         Limit // of an animation
	MaxImages         Limit // kept at once
	MaxStorageBytes   Limit // of originals kept at once
	RequestsPerMinute Limit
	LinkTTLMinSeconds Limit
	LinkTTLMaxSeconds Limit
}

// DefaultLimits are those of a tier that says nothing, and of a user in no tier.
func DefaultLimits() Limits {
	return Limits{
		MaxUploadBytes:    50 << 20,
		MaxPixels:         100_000_000,
		MaxFrames:         1000,
		MaxImages:         NoLimit,
		MaxStorageBytes:   NoLimit,
		RequestsPerMinute: NoLimit,
		LinkTTLMinSeconds: MinLinkSeconds,
		LinkTTLMaxSeconds: MaxLinkSeconds,
	}
}

// LimitField is one limit by its contract name.
type LimitField struct {
	Name  string
	Value *Limit
}

// Fields lists the limits by their contract names, in a fixed order; the pointers write through to l.
func (l *Limits) Fields() []LimitField {
	return []LimitField{
		{"max_upload_bytes", &l.MaxUploadBytes},
		{"max_pixels", &l.MaxPixels},
		{"max_frames", &l.MaxFrames},
		{"max_images", &l.MaxImages},
		{"max_storage_bytes", &l.MaxStorageBytes},
		{"requests_per_minute", &l.RequestsPerMinute},
		{"link_ttl_min_seconds", &l.LinkTTLMinSeconds},
		{"link_ttl_max_seconds", &l.LinkTTLMaxSeconds},
	}
}

// Validate refuses values that no tier may have.
func (l Limits) Validate() error {
	for _, f := range l.Fields() {
		low, high := int64(0), int64(math.MaxInt64)
		switch f.Value {
		case &l.LinkTTLMinSeconds, &l.LinkTTLMaxSeconds:
			low, high = MinLinkSeconds, MaxLinkSeconds
		case &l.RequestsPerMinute, &l.MaxFrames, &l.MaxPixels, &l.MaxUploadBytes:
			low = 1
		}
		if v := *f.Value; v != NoLimit && (int64(v) < low || int64(v) > high) {
			if high == math.MaxInt64 {
				return InvalidField("limits."+f.Name, "range", "a whole number of at least %d, or null for none", low)
			}
			return InvalidField("limits."+f.Name, "range", "a whole number from %d to %d, or null", low, high)
		}
	}
	if lo, hi := l.LinkSeconds(); lo > hi {
		return InvalidField("limits.link_ttl_min_seconds", "range", "is more than link_ttl_max_seconds")
	}
	return nil
}

// LinkSeconds is the range of a link's life, in whole seconds, both ends included.
func (l Limits) LinkSeconds() (lo, hi int64) {
	lo, hi = MinLinkSeconds, MaxLinkSeconds
	if l.LinkTTLMinSeconds != NoLimit {
		lo = max(lo, int64(l.LinkTTLMinSeconds))
	}
	if l.LinkTTLMaxSeconds != NoLimit {
		hi = min(hi, int64(l.LinkTTLMaxSeconds))
	}
	return lo, hi
}

// Union returns, field by field, the more generous of two limits.
func (l Limits) Union(other Limits) Limits {
	lo, hi := l.LinkSeconds()
	lo2, hi2 := other.LinkSeconds()
	return Limits{
		MaxUploadBytes:    l.MaxUploadBytes.moreGenerous(other.MaxUploadBytes),
		MaxPixels:         l.MaxPixels.moreGenerous(other.MaxPixels),
		MaxFrames:         l.MaxFrames.moreGenerous(other.MaxFrames),
		MaxImages:         l.MaxImages.moreGenerous(other.MaxImages),
		MaxStorageBytes:   l.MaxStorageBytes.moreGenerous(other.MaxStorageBytes),
		RequestsPerMinute: l.RequestsPerMinute.moreGenerous(other.RequestsPerMinute),
		LinkTTLMinSeconds: Limit(min(lo, lo2)),
		LinkTTLMaxSeconds: Limit(max(hi, hi2)),
	}
}
