// Package domain holds imagify's rules: permissions, tiers, users, images,
// links, and the policy that decides who may do what, with a reason.
//
// It imports the standard library only, does no input or output, reads no
// clock and draws no random numbers: time and ids are arguments.
package domain
