package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

const (
	attempts    = 3
	maxBackoff  = time.Second
	dialTimeout = 2 * time.Second
	idleConns   = 64 // a host

	// regionOfAll is what services other than AWS's take as a region if they ask for one.
	regionOfAll = "us-east-1"
)

// Open returns the store at a URL such as
//
//	s3://bucket/prefix?region=eu-central-1
//	s3://bucket?endpoint=http://127.0.0.1:9000&path_style=true
//
// Credentials come from where AWS's own tools look for them: the environment
// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), ~/.aws, or the machine's role; so does
// the region where the URL has none. It connects to nothing but, perhaps, what the
// role is asked from: Ping and Doctor tell whether the bucket is there.
//
// The query may also hold Options: sse, kms_key_id, storage_class, part_size
// (bytes), concurrency, timeout (such as 20s) and file_keys (true or false).
// Anything else is an error.
func Open(ctx context.Context, rawURL string) (*Store, error) {
	a, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("s3blob: the storage URL %w", err)
	}
	client := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = 2*idleConns, idleConns
			// Of HTTP/2 one connection carries everything: it is asked whether it lives.
			t.HTTP2 = &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence}
		})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}), // what matters comes back as an error
		config.WithRetryer(func() aws.Retryer {
			return retry.AddWithErrorCodes(retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
			}), "ConditionalRequestConflict")
		}),
	}
	if a.region != "" {
		load = append(load, config.WithRegion(a.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("s3blob: AWS's configuration: %w", err)
	}
	if cfg.Region == "" {
		if a.endpoint == "" {
			return nil, errors.New("s3blob: the bucket's region is not known: add ?region=… to the storage URL, or set AWS_REGION")
		}
		cfg.Region = regionOfAll
	}
	return New(s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = a.pathStyle
		if a.endpoint != "" {
			o.BaseEndpoint = &a.endpoint
		}
		o.DisableLogOutputChecksumValidationSkipped = true          // of objects that others put
		if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // with AWS_CA_BUNDLE in it, by now
			o.HTTPClient = newDoer(c.GetTransport())
		}
	}), a.bucket, a.options)
}

// address is what a storage URL says.
type address struct {
	bucket, region, endpoint string
	pathStyle                bool
	options                  Options
}

func parse(rawURL string) (a address, err error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return a, errors.New("is not like s3://bucket/prefix?region=eu-central-1")
	}
	if u.User != nil {
		return a, errors.New("holds credentials: leave them to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws or the machine's role")
	}
	a.bucket, a.options.Prefix = u.Host, u.Path
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errors.New("has a query that is not like ?region=eu-central-1&path_style=true")
	}
	for name, list := range values {
		if len(list) != 1 {
			return a, fmt.Errorf("gives %s more than once", name)
		}
		value := list[0]
		if value == "" {
			return a, fmt.Errorf("gives no value for %s: omit it", name)
		}
		switch name {
		case "region":
			a.region = value
		case "endpoint":
			a.endpoint = value
			e, perr := url.Parse(value)
			if perr != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
				err = errors.New("it is like https://s3.example.org")
			}
		case "path_style":
			a.pathStyle, err = strconv.ParseBool(value)
		case "file_keys":
			a.options.FileKeys, err = strconv.ParseBool(value)
		case "sse":
			a.options.ServerSideEncryption = value
		case "kms_key_id":
			a.options.KMSKeyID = value
		case "storage_class":
			a.options.StorageClass = value
		case "part_size":
			a.options.PartSize, err = strconv.ParseInt(value, 10, 64)
		case "concurrency":
			a.options.Concurrency, err = strconv.Atoi(value)
		case "timeout":
			a.options.Timeout, err = time.ParseDuration(value)
		default:
			return a, fmt.Errorf("has the unknown option %q", name)
		}
		if err != nil {
			return a, fmt.Errorf("has %s=%q: %w", name, value, err)
		}
	}
	return a, nil
}
