package lambdaresizer

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
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

const (
	attempts    = 3
	maxBackoff  = time.Second
	dialTimeout = 2 * time.Second
)

// Open returns the Resizer at a URL such as
//
//	lambda:function-name?region=eu-central-1
//	lambda:arn:aws:lambda:eu-central-1:123456789012:function:name:alias
//
// Credentials, and the region where the URL has none, come from where AWS's own tools
// look for them. It calls nothing; Ping does. The query may also hold endpoint (a URL),
// timeout (such as 20s) and max_calls; see Options. Anything else is an error.
func Open(ctx context.Context, rawURL string) (*Resizer, error) {
	a, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("lambdaresizer: the resizer URL %w", err)
	}
	calls := max(a.options.MaxCalls, defaultMaxCalls)
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = calls, calls })),
		config.WithRetryer(func() aws.Retryer { return retry.NewStandard(retries) }),
	}
	if a.region != "" {
		load = append(load, config.WithRegion(a.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("lambdaresizer: AWS's configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("lambdaresizer: the function's region is not known: add ?region=… to the resizer URL, or set AWS_REGION")
	}
	return New(lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		if a.endpoint != "" {
			o.BaseEndpoint = &a.endpoint
		}
	}), a.function, a.options)
}

// retries repeats what the network or Lambda failed to do, and nothing that Lambda
// throttled: its queue is not made shorter by asking again.
func retries(o *retry.StandardOptions) {
	o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
	throttled := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if isThrottled(err) {
			return aws.FalseTernary
		}
		return aws.UnknownTernary
	})
	o.Retryables = append([]retry.IsErrorRetryable{throttled}, o.Retryables...)
}

// address is what a resizer URL says.
type address struct {
	function, region, endpoint string
	options                    Options
}

func parse(rawURL string) (a address, err error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "lambda" || u.Opaque == "" || u.Fragment != "" {
		return a, errors.New("is not like lambda:function-name?region=eu-central-1")
	}
	a.function = u.Opaque
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errors.New("has a query that is not like ?region=eu-central-1")
	}
	for name, list := range values {
		if len(list) != 1 || list[0] == "" {
			return a, fmt.Errorf("must give %s one value", name)
		}
		value := list[0]
		switch name {
		case "region":
			a.region = value
		case "endpoint":
			a.endpoint = value
			e, perr := url.Parse(value)
			if perr != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
				err = errors.New("it is like https://lambda.eu-central-1.amazonaws.com")
			}
		case "timeout":
			if a.options.Timeout, err = time.ParseDuration(value); err == nil && a.options.Timeout <= 0 {
				err = errors.New("it must be positive")
			}
		case "max_calls":
			if a.options.MaxCalls, err = strconv.Atoi(value); err == nil && a.options.MaxCalls <= 0 {
				err = errors.New("it must be positive")
			}
		default:
			return a, fmt.Errorf("has the unknown option %q", name)
		}
		if err != nil {
			return a, fmt.Errorf("has %s=%q: %w", name, value, err)
		}
	}
	return a, nil
}
