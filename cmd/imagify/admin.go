package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// records prints records as a table, or as JSON.
type records struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (r records) print(p *program, v any, header string, rows func(row func(cells ...string))) error {
	if r.JSON {
		return printJSON(p.out, v)
	}
	t := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, header)
	rows(func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) })
	return t.Flush()
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// everything reads a list page by page to its end.
func everything[T any](list func(ports.Page) ([]T, domain.ID, error)) (out []T, err error) {
	out = []T{}
	p := ports.Page{Limit: 100}
	for {
		items, next, err := list(p)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
		if next.IsZero() {
			return out, nil
		}
		p.Before = next
	}
}

// createdUser is a user whose password was generated: it is shown once.
type createdUser struct {
	response.User
	Password string `json:"password,omitempty"`
}

func (r records) users(p *program, us []response.User) error {
	return r.print(p, us, "USERNAME\tTIERS\tPERMISSIONS\tADMIN\tACTIVE\tE-MAIL", func(row func(...string)) {
		for _, u := range us {
			row(u.Username, list(u.Tiers), list(u.Permissions), yes(u.IsAdmin), yes(u.IsActive), u.Email)
		}
	})
}

func list(s []string) string {
	if len(s) == 0 {
		return "-"
	}
	return strings.Join(s, ",")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type userCmd struct {
	Create userCreateCmd `cmd:"" help:"Create a user. Prints a generated password unless --password-stdin is set."`
	List   userListCmd   `cmd:"" help:"List users."`
	Show   userShowCmd   `cmd:"" help:"Show one user."`
	Set    userSetCmd    `cmd:"" help:"Change a user."`
	Passwd userPasswdCmd `cmd:"" help:"Set a user's password and end their sessions."`
	Delete userDeleteCmd `cmd:"" help:"Delete a user with their images and links."`
}

type userCreateCmd struct {
	Name          string   `arg:"" help:"User name."`
	Tier          []string `help:"Tier that the user joins; repeatable or comma-separated."`
	Permission    []string `help:"Permission to grant directly; repeatable or comma-separated."`
	Email         string   `help:"E-mail address."`
	Admin         bool     `help:"Allow managing users, tiers, images and links."`
	PasswordStdin bool     `help:"Read the password from one line of standard input."`
	records
	installation
}

func (userCreateCmd) Help() string {
	return "Example:\n  imagify user create anna --tier PremiumTierUsers --permission thumbnail:600"
}

func (c userCreateCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		password, generated, err := p.password(c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := svc.CreateUser(p.ctx, operator, c.Name, app.UserChange{
			Email: &c.Email, Password: &password, Tiers: &c.Tier, Permissions: &c.Permission, IsAdmin: &c.Admin,
		})
		if err != nil {
			return err
		}
		v := createdUser{User: response.NewUser(u)}
		if generated {
			v.Password = password
		}
		if c.JSON {
			return printJSON(p.out, v)
		}
		if generated {
			fmt.Fprintf(p.out, "created %s; password %s (shown only once)\n", u.Username, password)
		} else {
			fmt.Fprintf(p.out, "created %s\n", u.Username)
		}
		return nil
	})
}

// password reads a password from standard input, or generates one.
func (p *program) password(fromStdin bool) (password string, generated bool, err error) {
	if !fromStdin {
		return app.GeneratePassword(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(p.in, domain.MaxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", false, usagef("there is no password on standard input")
	}
	return line, false, nil
}

type userListCmd struct {
	Tier string `help:"Only the members of this tier."`
	records
	installation
}

func (c userListCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		us, err := everything(func(pg ports.Page) ([]domain.User, domain.ID, error) { return svc.Users(p.ctx, operator, c.Tier, pg) })
		if err != nil {
			return err
		}
		responses := make([]response.User, len(us))
		for i, u := range us {
			responses[i] = response.NewUser(u)
		}
		return c.users(p, responses)
	})
}

type userShowCmd struct {
	Name string `arg:"" help:"User name."`
	records
	installation
}

func (c userShowCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		u, err := svc.User(p.ctx, operator, c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.out, response.NewUser(u))
		}
		return c.users(p, []response.User{response.NewUser(u)})
	})
}

type userSetCmd struct {
	Name         string   `arg:"" help:"User name."`
	Tier         []string `help:"Replace the user's tiers; repeatable or comma-separated." xor:"tiers"`
	NoTiers      bool     `help:"Remove the user from every tier." xor:"tiers"`
	Permission   []string `help:"Replace the permissions granted directly; repeatable or comma-separated." xor:"permissions"`
	NoPermission bool     `name:"no-permissions" help:"Remove every permission granted directly." xor:"permissions"`
	Email        *string  `help:"E-mail address."`
	Admin        *bool    `help:"Allow managing users, tiers, images and links." negatable:""`
	Active       *bool    `help:"Allow sign-in. The links and URLs of an inactive user stop working." negatable:""`
	records
	installation
}

func (userSetCmd) Help() string {
	return "Settings that are not given stay as they are. Changes take effect at once, also on a running server.\n\nExamples:\n  imagify user set anna --tier BasicTierUsers\n  imagify user set anna --no-active"
}

func (c userSetCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		change := app.UserChange{Email: c.Email, Tiers: given(c.Tier), Permissions: given(c.Permission), IsAdmin: c.Admin, IsActive: c.Active}
		if c.NoTiers {
			change.Tiers = &[]string{}
		}
		if c.NoPermission {
			change.Permissions = &[]string{}
		}
		if change == (app.UserChange{}) {
			return usagef("nothing to change: give at least one flag; see 'imagify user set --help'")
		}
		u, err := svc.UpdateUser(p.ctx, operator, c.Name, change)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.out, response.NewUser(u))
		}
		return c.users(p, []response.User{response.NewUser(u)})
	})
}

type userPasswdCmd struct {
	Name          string `arg:"" help:"User name."`
	PasswordStdin bool   `help:"Read the password from one line of standard input; otherwise one is generated and printed."`
	installation
}

func (c userPasswdCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		password, generated, err := p.password(c.PasswordStdin)
		if err != nil {
			return err
		}
		if _, err := svc.UpdateUser(p.ctx, operator, c.Name, app.UserChange{Password: &password}); err != nil {
			return err
		}
		if generated {
			fmt.Fprintf(p.out, "the password of %s is now %s (shown only once)\n", c.Name, password)
		} else {
			fmt.Fprintf(p.out, "the password of %s is set\n", c.Name)
		}
		return nil
	})
}

type userDeleteCmd struct {
	Name string `arg:"" help:"User name."`
	installation
}

func (c userDeleteCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		if err := svc.DeleteUser(p.ctx, operator, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "deleted %s\n", c.Name)
		return nil
	})
}

func (r records) tier(p *program, t domain.Tier) error {
	v := response.NewTier(t)
	if r.JSON {
		return printJSON(p.out, v)
	}
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "name\t%s\ntitle\t%s\npermissions\t%s\n", v.Name, v.Title, list(v.Permissions))
	for _, f := range t.Limits.Fields() {
		value := "none"
		if *f.Value != domain.NoLimit {
			value = strconv.FormatInt(int64(*f.Value), 10)
		}
		fmt.Fprintf(w, "%s\t%s\n", f.Name, value)
	}
	return w.Flush()
}

type tierCmd struct {
	Create tierCreateCmd `cmd:"" help:"Create a tier."`
	List   tierListCmd   `cmd:"" help:"List tiers."`
	Show   tierShowCmd   `cmd:"" help:"Show one tier."`
	Set    tierSetCmd    `cmd:"" help:"Change a tier for all its members, at once."`
	Delete tierDeleteCmd `cmd:"" help:"Delete a tier; its members lose what it gave them."`
}

type tierCreateCmd struct {
	Name       string   `arg:"" help:"Name of the tier."`
	Title      *string  `help:"Title shown to people."`
	Permission []string `help:"A permission; repeatable or comma-separated."`
	Limit      []string `help:"A limit as name=number or name=none; repeatable or comma-separated." placeholder:"K=V"`
	records
	installation
}

func (tierCreateCmd) Help() string {
	return "Permissions: thumbnail:{height}, can_access_original_image, can_generate_expiring_link.\n\nExample:\n  imagify tier create Gold --title Gold --permission thumbnail:200 --permission thumbnail:600 --limit max_images=1000"
}

func (c tierCreateCmd) Run(p *program) error {
	limits, err := parseLimits(c.Limit)
	if err != nil {
		return err
	}
	return c.service(p, func(svc *app.Service) error {
		t, err := svc.CreateTier(p.ctx, operator, c.Name, app.TierChange{Title: c.Title, Permissions: &c.Permission, Limits: limits})
		if err != nil {
			return err
		}
		return c.tier(p, t)
	})
}

// given is what a list flag names; nil where it was not given, which leaves things as they are. (A
// flag of type *[]string would keep only the last of several.)
func given(flag []string) *[]string {
	if flag == nil {
		return nil
	}
	return &flag
}

func parseLimits(pairs []string) (map[string]*int64, error) {
	out := map[string]*int64{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--limit %s: write name=number, or name=none", pair)
		}
		if value == "none" {
			out[name] = nil
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, usagef("--limit %s: %q is not a whole number; write name=number, or name=none", pair, value)
		}
		out[name] = &n
	}
	return out, nil
}

type tierListCmd struct {
	records
	installation
}

func (c tierListCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		ts, err := svc.Tiers(p.ctx, operator)
		if err != nil {
			return err
		}
		responses := make([]response.Tier, len(ts))
		for i, t := range ts {
			responses[i] = response.NewTier(t)
		}
		return c.print(p, responses, "NAME\tTITLE\tPERMISSIONS", func(row func(...string)) {
			for _, v := range responses {
				row(v.Name, v.Title, list(v.Permissions))
			}
		})
	})
}

type tierShowCmd struct {
	Name string `arg:"" help:"Name of the tier."`
	records
	installation
}

func (c tierShowCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		t, err := svc.Tier(p.ctx, operator, c.Name)
		if err != nil {
			return err
		}
		return c.tier(p, t)
	})
}

type tierSetCmd struct {
	Name          string   `arg:"" help:"Name of the tier."`
	Title         *string  `help:"Title shown to people."`
	Permission    []string `help:"Replace the tier's permissions; repeatable or comma-separated." xor:"permissions"`
	NoPermissions bool     `help:"Remove every permission." xor:"permissions"`
	Limit         []string `help:"A limit as name=number or name=none; repeatable or comma-separated." placeholder:"K=V"`
	records
	installation
}

func (tierSetCmd) Help() string {
	return "Settings that are not given stay as they are.\n\nExample:\n  imagify tier set BasicTierUsers --permission thumbnail:200 --permission thumbnail:300"
}

func (c tierSetCmd) Run(p *program) error {
	limits, err := parseLimits(c.Limit)
	if err != nil {
		return err
	}
	change := app.TierChange{Title: c.Title, Permissions: given(c.Permission), Limits: limits}
	if c.NoPermissions {
		change.Permissions = &[]string{}
	}
	if change.Title == nil && change.Permissions == nil && len(limits) == 0 {
		return usagef("nothing to change: give at least one flag; see 'imagify tier set --help'")
	}
	return c.service(p, func(svc *app.Service) error {
		t, err := svc.UpdateTier(p.ctx, operator, c.Name, change)
		if err != nil {
			return err
		}
		return c.tier(p, t)
	})
}

type tierDeleteCmd struct {
	Name string `arg:"" help:"Name of the tier."`
	installation
}

func (c tierDeleteCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		if err := svc.DeleteTier(p.ctx, operator, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "deleted %s\n", c.Name)
		return nil
	})
}

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create an API token. Prints the token and nothing else."`
	List   tokenListCmd   `cmd:"" help:"List a user's API tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke an API token at once."`
}

type tokenCreateCmd struct {
	User      string `required:"" help:"The token's owner."`
	Name      string `help:"What the token is for." default:"command line"`
	ExpiresIn *span  `help:"Lifetime, such as 12h or 30d. Omit it for a token that does not expire." placeholder:"30d"`
	JSON      bool   `name:"json" help:"Print JSON."`
	installation
}

func (tokenCreateCmd) Help() string {
	return "Example:\n  TOKEN=$(imagify token create --user anna --name laptop --expires-in 720h)"
}

func (c tokenCreateCmd) Run(p *program) error {
	var life time.Duration // 0: no end
	if c.ExpiresIn != nil {
		if life = time.Duration(*c.ExpiresIn); life < time.Second {
			return usagef("--expires-in must be at least 1s; omit it for a token that does not expire")
		}
	}
	return c.service(p, func(svc *app.Service) error {
		t, secret, err := svc.CreateTokenFor(p.ctx, operator, c.User, c.Name, life)
		if err != nil {
			return err
		}
		if c.JSON {
			v := response.NewToken(t)
			v.Token = secret
			return printJSON(p.out, v)
		}
		fmt.Fprintln(p.out, secret)
		return nil
	})
}

type tokenListCmd struct {
	User string `required:"" help:"The tokens' owner."`
	records
	installation
}

func (c tokenListCmd) Run(p *program) error {
	return c.service(p, func(svc *app.Service) error {
		ts, err := everything(func(pg ports.Page) ([]domain.Token, domain.ID, error) {
			return svc.TokensFor(p.ctx, operator, c.User, pg)
		})
		if err != nil {
			return err
		}
		responses := make([]response.Token, len(ts))
		for i, t := range ts {
			responses[i] = response.NewToken(t)
		}
		return c.print(p, responses, "ID\tNAME\tCREATED\tEXPIRES", func(row func(...string)) {
			for _, v := range responses {
				expires := "never"
				if v.ExpiresAt != nil {
					expires = v.ExpiresAt.Format(time.RFC3339)
				}
				row(v.ID, v.Name, v.CreatedAt.Format(time.RFC3339), expires)
			}
		})
	})
}

type tokenRevokeCmd struct {
	User string `required:"" help:"The token's owner."`
	ID   string `arg:"" help:"The token's id, as 'token list' shows it."`
	installation
}

func (c tokenRevokeCmd) Run(p *program) error {
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return usagef("%q is not an id: 'imagify token list --user %s' shows them", c.ID, c.User)
	}
	return c.service(p, func(svc *app.Service) error {
		if err := svc.RevokeTokenFor(p.ctx, operator, c.User, id); err != nil {
			return err
		}
		fmt.Fprintln(p.out, "revoked", c.ID)
		return nil
	})
}
