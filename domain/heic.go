//go:build !noheic

package domain

// withHEIC says that HEIC can be decoded: a build with the tag noheic has no code for it.
const withHEIC = true
