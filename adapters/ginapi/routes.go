package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
)

// table is the API, but for what package pages has of it. For each GET the path also answers to HEAD.
func (s *Server) table() []request.Route {
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []request.Route{
		{Method: post, Path: "/v1/images", Access: request.SignedIn, Long: true, Handle: postImage, Doc: request.Operation{
			Tag: "images", Summary: "Upload an image", Description: "The file comes as the multipart field `file`, or as the body with an image/* content type. Its format is decided by its content.",
			Params: []string{"Idempotency-Key"}, Body: request.Upload, Status: 201, Answer: response.Image{}, Location: true,
			Errors: []int{400, 401, 403, 408, 409, 410, 413, 415, 422},
		}},
		{Method: get, Path: "/v1/images", Access: request.SignedIn, Handle: getImages, Doc: request.Operation{
			Tag: "images", Summary: "Your images, newest first", Params: []string{"limit", "cursor"}, Status: 200, Answer: response.List[response.Image]{}, Errors: []int{400, 401},
		}},
		{Method: get, Path: "/v1/images/{id}", Access: request.SignedIn, Handle: getImage, Doc: request.Operation{
			Tag: "images", Summary: "One image", Status: 200, Answer: response.Image{}, Errors: []int{401, 404},
		}},
		{Method: del, Path: "/v1/images/{id}", Access: request.SignedIn, Handle: deleteImage, Doc: request.Operation{
			Tag: "images", Summary: "Delete an image with its thumbnails and links", Description: "Every URL of it is dead when the answer arrives.",
			Status: 204, Errors: []int{401, 403, 404},
		}},
		{Method: get, Path: "/v1/images/{id}/thumbnails/{height}", Long: true, Handle: getThumbnail, Doc: request.Operation{
			Tag: "bytes", Summary: "A thumbnail", Description: "Made on first access. By a signed URL as an Image holds it, or by credentials.",
			Params: []string{"expires", "owner", "signature", "Range", "If-None-Match"}, Status: 200, Answer: request.Bytes, Errors: []int{400, 401, 403, 404, 416},
		}},
		{Method: get, Path: "/v1/images/{id}/original", Long: true, Handle: getOriginal, Doc: request.Operation{
			Tag: "bytes", Summary: "The original, byte for byte", Description: "By a signed URL as an Image holds it, or by credentials.",
			Params: []string{"expires", "owner", "signature", "Range", "If-None-Match"}, Status: 200, Answer: request.Bytes, Errors: []int{401, 403, 404, 416},
		}},
		{Method: get, Path: "/v1/images/{id}/access", Access: request.SignedIn, Handle: getAccess, Doc: request.Operation{
			Tag: "images", Summary: "What a user may do with an image, and why", Params: []string{"whatIfTier", "whatIfUser"},
			Status: 200, Answer: response.Access{}, Errors: []int{400, 401, 403, 404},
		}},
		{Method: post, Path: "/v1/images/{id}/links", Access: request.SignedIn, Handle: postLink, Doc: request.Operation{
			Tag: "links", Summary: "Create an expiring link", Description: "The `url` is shown only once.", Body: request.NewLink{},
			Status: 201, Answer: response.Link{}, Location: true, Errors: []int{400, 401, 403, 404, 408, 413},
		}},
		{Method: get, Path: "/v1/images/{id}/links", Access: request.SignedIn, Handle: getLinks, Doc: request.Operation{
			Tag: "links", Summary: "An image's links, dead ones included", Params: []string{"limit", "cursor"}, Status: 200, Answer: response.List[response.Link]{}, Errors: []int{400, 401, 404},
		}},
		{Method: del, Path: "/v1/links/{id}", Access: request.SignedIn, Handle: deleteLink, Doc: request.Operation{
			Tag: "links", Summary: "Revoke a link", Status: 204, Errors: []int{401, 403, 404},
		}},
		{Method: get, Path: "/l/{token}", Long: true, Handle: getLink, Doc: request.Operation{
			Tag: "bytes", Summary: "What an expiring link shows", Description: "Public. A dead link is 410 for every method.",
			Params: []string{"Range", "If-None-Match"}, Status: 200, Answer: request.Bytes, Errors: []int{404, 410, 416},
		}},
		{Method: get, Path: "/v1/me", Access: request.SignedIn, Handle: getMe, Doc: request.Operation{
			Tag: "account", Summary: "The caller: permissions, limits and usage", Status: 200, Answer: response.Me{}, Errors: []int{401},
		}},
		{Method: post, Path: "/v1/tokens", Access: request.SignedIn, Handle: postToken, Doc: request.Operation{
			Tag: "account", Summary: "Create an API token", Description: "The secret is shown only once.", Body: request.NewToken{},
			Status: 201, Answer: response.Token{}, Location: true, Errors: []int{400, 401, 403, 408, 413},
		}},
		{Method: get, Path: "/v1/tokens", Access: request.SignedIn, Handle: getTokens, Doc: request.Operation{
			Tag: "account", Summary: "Your API tokens", Params: []string{"limit", "cursor"}, Status: 200, Answer: response.List[response.Token]{}, Errors: []int{400, 401},
		}},
		{Method: del, Path: "/v1/tokens/{id}", Access: request.SignedIn, Handle: deleteToken, Doc: request.Operation{
			Tag: "account", Summary: "Revoke an API token", Status: 204, Errors: []int{401, 403, 404},
		}},
		{Method: get, Path: "/v1/admin/tiers", Access: request.Admins, Handle: getTiers, Doc: request.Operation{
			Tag: "admin", Summary: "All tiers", Status: 200, Answer: response.List[response.Tier]{}, Errors: []int{401, 403},
		}},
		{Method: post, Path: "/v1/admin/tiers", Access: request.Admins, Handle: postTier, Doc: request.Operation{
			Tag: "admin", Summary: "Create a tier", Body: request.NewTier{}, Status: 201, Answer: response.Tier{}, Location: true, Errors: []int{400, 401, 403, 408, 409, 413},
		}},
		{Method: get, Path: "/v1/admin/tiers/{name}", Access: request.Admins, Handle: getTier, Doc: request.Operation{
			Tag: "admin", Summary: "One tier", Status: 200, Answer: response.Tier{}, Errors: []int{401, 403, 404},
		}},
		{Method: patch, Path: "/v1/admin/tiers/{name}", Access: request.Admins, Handle: patchTier, Doc: request.Operation{
			Tag: "admin", Summary: "Change a tier for all its members, at once", Description: "Omitted fields stay as they are.", Body: request.TierChange{},
			Status: 200, Answer: response.Tier{}, Errors: []int{400, 401, 403, 404, 408, 413},
		}},
		{Method: del, Path: "/v1/admin/tiers/{name}", Access: request.Admins, Handle: deleteTier, Doc: request.Operation{
			Tag: "admin", Summary: "Delete a tier", Description: "Its members lose its permissions. A predefined tier cannot be deleted.", Status: 204, Errors: []int{401, 403, 404, 409},
		}},
		{Method: get, Path: "/v1/admin/users", Access: request.Admins, Handle: getUsers, Doc: request.Operation{
			Tag: "admin", Summary: "Users, newest first", Params: []string{"tier", "limit", "cursor"}, Status: 200, Answer: response.List[response.User]{}, Errors: []int{400, 401, 403},
		}},
		{Method: post, Path: "/v1/admin/users", Access: request.Admins, Handle: postUser, Doc: request.Operation{
			Tag: "admin", Summary: "Create a user", Description: "Without a password the user cannot sign in until one is set.", Body: request.NewUser{},
			Status: 201, Answer: response.User{}, Location: true, Errors: []int{400, 401, 403, 408, 409, 413},
		}},
		{Method: get, Path: "/v1/admin/users/{username}", Access: request.Admins, Handle: getUser, Doc: request.Operation{
			Tag: "admin", Summary: "One user", Status: 200, Answer: response.User{}, Errors: []int{401, 403, 404},
		}},
		{Method: patch, Path: "/v1/admin/users/{username}", Access: request.Admins, Handle: patchUser, Doc: request.Operation{
			Tag: "admin", Summary: "Change a user, at once", Description: "Omitted fields stay as they are.", Body: request.UserChange{},
			Status: 200, Answer: response.User{}, Errors: []int{400, 401, 403, 404, 408, 409, 413},
		}},
		{Method: del, Path: "/v1/admin/users/{username}", Access: request.Admins, Handle: deleteUser, Doc: request.Operation{
			Tag: "admin", Summary: "Delete a user with their images and links", Status: 204, Errors: []int{401, 403, 404, 409},
		}},
		{Method: get, Path: "/v1/admin/images", Access: request.Admins, Handle: getAllImages, Doc: request.Operation{
			Tag: "admin", Summary: "Everybody's images, newest first", Params: []string{"user", "from", "to", "limit", "cursor"}, Status: 200, Answer: response.List[response.Image]{}, Errors: []int{400, 401, 403, 404},
		}},
		{Method: get, Path: "/v1/admin/links", Access: request.Admins, Handle: getAllLinks, Doc: request.Operation{
			Tag: "admin", Summary: "Everybody's links, newest first", Params: []string{"user", "from", "to", "limit", "cursor"}, Status: 200, Answer: response.List[response.Link]{}, Errors: []int{400, 401, 403, 404},
		}},
		{Method: get, Path: "/v1/admin/audit", Access: request.Admins, Handle: getAudit, Doc: request.Operation{
			Tag: "admin", Summary: "Who changed what, newest first", Params: []string{"user", "from", "to", "limit", "cursor"}, Status: 200, Answer: response.List[response.AuditEntry]{}, Errors: []int{400, 401, 403},
		}},
		{Method: get, Path: "/openapi.json", Handle: s.getOpenAPI, Doc: request.Operation{
			Tag: "service", Summary: "This document", Status: 200, Answer: request.AnyJSON,
		}},
		{Method: get, Path: "/healthz", Handle: getHealth, Doc: request.Operation{
			Tag: "service", Summary: "The process is alive", Status: 200, Answer: response.Status{},
		}},
		{Method: get, Path: "/readyz", Handle: s.getReady, Doc: request.Operation{
			Tag: "service", Summary: "Every backend answers", Status: 200, Answer: response.Status{}, Errors: []int{503},
		}},
		{Method: get, Path: "/metrics", Handle: s.getMetrics, Doc: request.Operation{
			Tag: "service", Summary: "Metrics for Prometheus", Status: 200, Answer: request.Text,
		}},
	}
}
