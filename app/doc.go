// Package app is imagify's core: the use-cases over the ports. Import it as
//
//	import imagify "github.com/imagify-api/imagify/app"
//
// A Service is made of adapters by New; every method that acts for somebody
// takes a domain.Actor, which the sign-in methods give. Errors carry a
// domain.Code. Who may do what is decided by domain's policy, asked in
// authorize.go and nowhere else.
package app
