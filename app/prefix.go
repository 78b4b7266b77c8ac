package app

import "net/netip"

// ClientPrefix is by what a client counts as one wherever its share is bounded: its IPv4
// address, or the /64 of its IPv6 address, which is what one customer is given and within
// which one host may have any address. Whole IPv4 networks are not taken together: behind
// one address there are many people already, and one person rarely has many. Text that is
// no address is its own prefix.
func ClientPrefix(address string) string { return prefix(address, 32, 64) }

// widePrefix takes together what one customer of a hosting company may have many of: an
// IPv4 /24, an IPv6 /48. It has a more generous bound than a single prefix.
func widePrefix(address string) string { return prefix(address, 24, 48) }

// maxAddress bounds the text of an address, whatever a proxy sends.
const maxAddress = 64

func prefix(address string, bits4, bits6 int) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address[:min(len(address), maxAddress)]
	}
	a = a.Unmap().WithZone("")
	bits := bits6
	if a.Is4() {
		if bits4 == 32 {
			return a.String()
		}
		bits = bits4
	}
	p, err := a.Prefix(bits)
	if err != nil { // not with these numbers of bits
		return a.String()
	}
	return p.String()
}
