// Package backends opens what a configuration names and hands back an app.Config: what
// every program around package app would otherwise write again. The zero Config is SQLite and
// a folder; the URLs of a Config choose others.
//
// It imports every adapter of this module, and their SDKs with them. A program that wants few
// dependencies makes its app.Config from the adapters that it uses: an app.Config's fields are
// ports, and each adapter has a constructor.
//
// Wrappers over ports are stacked here: the series and spans of the backends' calls
// (Config.Metrics, Config.Traces), and rate limits that go on in this process while
// Redis does not answer.
package backends
