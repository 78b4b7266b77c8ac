package domain_test

import (
	"fmt"

	"github.com/imagify-api/imagify/domain"
)

// What a user may do is the union of the tiers' permissions and of the user's own; a decision says what decided.
func Example() {
	basic, err := domain.ParsePermissions([]string{"thumbnail:200"})
	if err != nil {
		fmt.Println(err)
		return
	}
	own, err := domain.ParsePermissions([]string{"can_access_original_image"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tiers := []domain.Tier{{Name: "BasicTierUsers", Permissions: basic}}
	anna := domain.User{Username: "anna", IsActive: true, Tiers: []string{"BasicTierUsers"}}
	for _, name := range []string{"thumbnail:200", "thumbnail:400", "original", "link"} {
		action, err := domain.ParseAction(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, domain.DecideOwner(anna, domain.Unite(tiers, own), action).Allowed)
	}
	// Output:
	// thumbnail:200 true
	// thumbnail:400 false
	// original true
	// link false
}

// An error has a code, which any number of wraps keep.
func ExampleErrorf() {
	err := fmt.Errorf("uploading cat.jpg: %w", domain.Errorf(domain.TooLarge, "your tier takes at most %d bytes", 1000))
	fmt.Println(domain.CodeOf(err))
	fmt.Println(domain.AsError(err).Msg)
	// Output:
	// too_large
	// your tier takes at most 1000 bytes
}
