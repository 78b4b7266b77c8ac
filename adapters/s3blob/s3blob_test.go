package s3blob_test

import (
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// service starts an S3 service with a bucket, and sets the environment so that
// Open finds its account; tests that use it are not parallel.
func service(t *testing.T, args ...string) (s *realserver.S3Server, bucket string) {
	t.Helper()
	s = realserver.S3(t, args...)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	for _, name := range []string{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	_, err := client(s).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("pictures")})
	require.NoError(t, err)
	return s, "pictures"
}

// client speaks to the service beside the store.
func client(s *realserver.S3Server) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &s.URL, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
}

// open returns the store at a bucket and prefix of the service behind endpoint.
func open(t *testing.T, endpoint, place, query string) *s3blob.Store {
	t.Helper()
	s, err := s3blob.Open(t.Context(), "s3://"+place+"?path_style=true&endpoint="+url.QueryEscape(endpoint)+query)
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	s, bucket := service(t)
	var n atomic.Int64
	porttest.Blobs(t, func(t *testing.T) ports.Blobs {
		return open(t, s.URL, fmt.Sprintf("%s/prefix%d", bucket, n.Add(1)), "&file_keys=true&timeout=60s")
	})
}
