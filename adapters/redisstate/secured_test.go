package redisstate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// certificate writes a self-signed certificate for 127.0.0.1 and its key into dir.
func certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// TestSecured speaks TLS, as a user who may run nothing but the commands that the
// package's comment names, on imagify's own keys.
func TestSecured(t *testing.T) {
	t.Parallel()
	certs := filepath.Dir(os.Getenv("SSL_CERT_FILE"))
	addr := realserver.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	r := realserver.Redis(t, "--tls-port", port, "--tls-cert-file", filepath.Join(certs, "cert.pem"), "--tls-key-file", filepath.Join(certs, "key.pem"), "--tls-auth-clients", "no",
		"--user", "anna", "on", ">s@crt/1", "~imagify:*", "&imagify:*", "+eval", "+evalsha", "+get", "+set", "+del", "+pttl", "+time", "+info", "+publish", "+subscribe", "+ping")
	s := open(t, "rediss://anna:s%40crt%2F1@"+addr, redisstate.Options{Prefix: "imagify:", Timeout: patient})
	require.NoError(t, s.Doctor(t.Context()))
	heard, err := s.Subscribe(t.Context())
	require.NoError(t, err)
	wantHeard(t, s, heard)
	markAllDead(t, s, "dead")
	wantLives(t, s, "dead", ports.LinkDead)
	require.NoError(t, s.Reset(t.Context(), "k"))

	other := open(t, "rediss://anna:s%40crt%2F1@"+addr, redisstate.Options{Prefix: "other:", Timeout: patient})
	require.ErrorContains(t, other.Doctor(t.Context()), "does not keep a key")
	for _, url := range []string{"rediss://anna:wrong@" + addr, "redis://anna:s%40crt%2F1@" + addr, "rediss://anna:s%40crt%2F1@" + r.Addr} {
		wrong := open(t, url, redisstate.Options{Timeout: time.Second})
		err := wrong.Ping(t.Context())
		require.Equal(t, domain.Unavailable, domain.CodeOf(err), url)
		require.NotContains(t, err.Error(), "s@crt")
	}
}
