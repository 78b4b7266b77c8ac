//go:build noheic

package domain

const withHEIC = false
