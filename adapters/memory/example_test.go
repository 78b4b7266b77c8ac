package memory_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// A test takes what it needs of the ports and stands on the clock that it wants.
func Example() {
	ctx := context.Background()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	records := memory.NewRecords(memory.Options{Now: func() time.Time { return now }})
	blobs := memory.NewBlobs(memory.Options{})

	err := records.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
		for _, t := range domain.PredefinedTiers(now) {
			if err := tx.SaveTier(ctx, t); err != nil {
				return err
			}
		}
		return tx.SaveUser(ctx, domain.User{ID: domain.FirstIDAt(now), Username: "anna", Tiers: []string{domain.BasicTier}, IsActive: true})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	anna, err := records.Accounts.UserByName(ctx, "anna")
	if err != nil {
		fmt.Println(err)
		return
	}
	feed, err := records.Changes.Since(ctx, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(anna.Tiers, feed.Lost, feed.Now.Format(time.TimeOnly))

	if err := blobs.Put(ctx, "greetings/hello", strings.NewReader("hello"), ports.PutOptions{Size: 5}); err != nil {
		fmt.Println(err)
		return
	}
	blob, err := blobs.Open(ctx, "greetings/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer blob.Body.Close()
	text, err := io.ReadAll(blob.Body)
	fmt.Println(string(text), err)

	_, err = blobs.Open(ctx, "greetings/none")
	fmt.Println(domain.CodeOf(err))
	// Output:
	// [BasicTierUsers] true 03:04:05
	// hello <nil>
	// not_found
}
