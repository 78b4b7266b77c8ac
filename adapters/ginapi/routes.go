package ginapi

import "net/http"

// table is the API. For each GET the path also answers to HEAD.
func (s *Server) table() []route {
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []route{
		{method: post, path: "/v1/images", access: signedIn, long: true, handle: postImage, doc: operation{
			tag: "images", summary: "Upload an image", description: "The file comes as the multipart field `file`, or as the body with an image/* content type. What it is, is decided by its content.",
			params: []string{"Idempotency-Key"}, body: "upload", status: 201, answer: "Image", location: true,
			errors: []int{400, 401, 403, 408, 409, 410, 413, 415, 422},
		}},
		{method: get, path: "/v1/images", access: signedIn, handle: getImages, doc: operation{
			tag: "images", summary: "Your images, newest first", params: []string{"limit", "cursor"}, status: 200, answer: "ImageList", errors: []int{400, 401},
		}},
		{method: get, path: "/v1/images/{id}", access: signedIn, handle: getImage, doc: operation{
			tag: "images", summary: "One image", status: 200, answer: "Image", errors: []int{401, 404},
		}},
		{method: del, path: "/v1/images/{id}", access: signedIn, handle: deleteImage, doc: operation{
			tag: "images", summary: "Delete an image with its thumbnails and links", description: "Every URL of it is dead when the answer arrives.",
			status: 204, errors: []int{401, 403, 404},
		}},
		{method: get, path: "/v1/images/{id}/thumbnails/{height}", long: true, handle: getThumbnail, doc: operation{
			tag: "bytes", summary: "A thumbnail", description: "Made on first access. By a signed URL as an Image holds it, or by credentials.",
			params: []string{"expires", "owner", "signature", "Range", "If-None-Match"}, status: 200, answer: "bytes", errors: []int{400, 401, 403, 404, 416},
		}},
		{method: get, path: "/v1/images/{id}/original", long: true, handle: getOriginal, doc: operation{
			tag: "bytes", summary: "The original, byte for byte", description: "By a signed URL as an Image holds it, or by credentials.",
			params: []string{"expires", "owner", "signature", "Range", "If-None-Match"}, status: 200, answer: "bytes", errors: []int{401, 403, 404, 416},
		}},
		{method: get, path: "/v1/images/{id}/access", access: signedIn, handle: getAccess, doc: operation{
			tag: "images", summary: "Who may do what with an image, and why", params: []string{"whatIfTier", "whatIfUser"},
			status: 200, answer: "Access", errors: []int{400, 401, 403, 404},
		}},
		{method: post, path: "/v1/images/{id}/links", access: signedIn, handle: postLink, doc: operation{
			tag: "links", summary: "Make an expiring link", description: "The `url` is shown this once.", body: "NewLink",
			status: 201, answer: "Link", location: true, errors: []int{400, 401, 403, 404, 408, 413},
		}},
		{method: get, path: "/v1/images/{id}/links", access: signedIn, handle: getLinks, doc: operation{
			tag: "links", summary: "An image's links, dead ones included", params: []string{"limit", "cursor"}, status: 200, answer: "LinkList", errors: []int{400, 401, 404},
		}},
		{method: del, path: "/v1/links/{id}", access: signedIn, handle: deleteLink, doc: operation{
			tag: "links", summary: "Revoke a link", status: 204, errors: []int{401, 403, 404},
		}},
		{method: get, path: "/l/{token}", long: true, handle: getLink, doc: operation{
			tag: "bytes", summary: "What an expiring link shows", description: "Public. A dead link is 410 for every method.",
			params: []string{"Range", "If-None-Match"}, status: 200, answer: "bytes", errors: []int{404, 410, 416},
		}},
		{method: get, path: "/v1/me", access: signedIn, handle: getMe, doc: operation{
			tag: "account", summary: "Who you are, and what you may", status: 200, answer: "Me", errors: []int{401},
		}},
		{method: post, path: "/v1/tokens", access: signedIn, handle: postToken, doc: operation{
			tag: "account", summary: "Make an API token", description: "The secret is shown this once.", body: "NewToken",
			status: 201, answer: "Token", location: true, errors: []int{400, 401, 403, 408, 413},
		}},
		{method: get, path: "/v1/tokens", access: signedIn, handle: getTokens, doc: operation{
			tag: "account", summary: "Your API tokens", params: []string{"limit", "cursor"}, status: 200, answer: "TokenList", errors: []int{400, 401},
		}},
		{method: del, path: "/v1/tokens/{id}", access: signedIn, handle: deleteToken, doc: operation{
			tag: "account", summary: "Revoke an API token", status: 204, errors: []int{401, 403, 404},
		}},
		{method: get, path: "/v1/admin/tiers", access: admins, handle: getTiers, doc: operation{
			tag: "admin", summary: "All tiers", status: 200, answer: "TierList", errors: []int{401, 403},
		}},
		{method: post, path: "/v1/admin/tiers", access: admins, handle: postTier, doc: operation{
			tag: "admin", summary: "Make a tier", body: "NewTier", status: 201, answer: "Tier", location: true, errors: []int{400, 401, 403, 408, 409, 413},
		}},
		{method: get, path: "/v1/admin/tiers/{name}", access: admins, handle: getTier, doc: operation{
			tag: "admin", summary: "One tier", status: 200, answer: "Tier", errors: []int{401, 403, 404},
		}},
		{method: patch, path: "/v1/admin/tiers/{name}", access: admins, handle: patchTier, doc: operation{
			tag: "admin", summary: "Change a tier for all its members, at once", description: "Fields that are left out stay as they are.", body: "TierChange",
			status: 200, answer: "Tier", errors: []int{400, 401, 403, 404, 408, 413},
		}},
		{method: del, path: "/v1/admin/tiers/{name}", access: admins, handle: deleteTier, doc: operation{
			tag: "admin", summary: "Delete a tier", description: "Its members lose what it gave them. A predefined tier cannot be deleted.", status: 204, errors: []int{401, 403, 404, 409},
		}},
		{method: get, path: "/v1/admin/users", access: admins, handle: getUsers, doc: operation{
			tag: "admin", summary: "Users, newest first", params: []string{"tier", "limit", "cursor"}, status: 200, answer: "UserList", errors: []int{400, 401, 403},
		}},
		{method: post, path: "/v1/admin/users", access: admins, handle: postUser, doc: operation{
			tag: "admin", summary: "Make an account", description: "Without a password nobody can sign in until one is set.", body: "NewUser",
			status: 201, answer: "User", location: true, errors: []int{400, 401, 403, 408, 409, 413},
		}},
		{method: get, path: "/v1/admin/users/{username}", access: admins, handle: getUser, doc: operation{
			tag: "admin", summary: "One user", status: 200, answer: "User", errors: []int{401, 403, 404},
		}},
		{method: patch, path: "/v1/admin/users/{username}", access: admins, handle: patchUser, doc: operation{
			tag: "admin", summary: "Change a user, at once", description: "Fields that are left out stay as they are.", body: "UserChange",
			status: 200, answer: "User", errors: []int{400, 401, 403, 404, 408, 409, 413},
		}},
		{method: del, path: "/v1/admin/users/{username}", access: admins, handle: deleteUser, doc: operation{
			tag: "admin", summary: "Delete a user with their images and links", status: 204, errors: []int{401, 403, 404, 409},
		}},
		{method: get, path: "/v1/admin/images", access: admins, handle: getAllImages, doc: operation{
			tag: "admin", summary: "Everybody's images, newest first", params: []string{"user", "from", "to", "limit", "cursor"}, status: 200, answer: "ImageList", errors: []int{400, 401, 403, 404},
		}},
		{method: get, path: "/v1/admin/links", access: admins, handle: getAllLinks, doc: operation{
			tag: "admin", summary: "Everybody's links, newest first", params: []string{"user", "from", "to", "limit", "cursor"}, status: 200, answer: "LinkList", errors: []int{400, 401, 403, 404},
		}},
		{method: get, path: "/v1/admin/audit", access: admins, handle: getAudit, doc: operation{
			tag: "admin", summary: "Who changed what, newest first", params: []string{"user", "from", "to", "limit", "cursor"}, status: 200, answer: "AuditList", errors: []int{400, 401, 403},
		}},
		{method: get, path: "/api-auth/login", page: true, handle: getSignIn, doc: operation{
			tag: "sign-in", summary: "The sign-in page", params: []string{"next"}, status: 200, answer: "page", errors: []int{400},
		}},
		{method: post, path: "/api-auth/login", page: true, handle: postSignIn, doc: operation{
			tag: "sign-in", summary: "Sign in", description: "Sets the session cookie and leads to `next`.", body: "SignIn",
			status: 303, page: true, errors: []int{400, 401, 403, 408, 413, 429},
		}},
		{method: get, path: "/api-auth/logout", page: true, handle: getSignOut, doc: operation{
			tag: "sign-in", summary: "The sign-out page", description: "It holds a form; a GET signs nobody out.", status: 200, answer: "page",
		}},
		{method: post, path: "/api-auth/logout", page: true, handle: postSignOut, doc: operation{
			tag: "sign-in", summary: "Sign out", description: "Ends the session. A browser is led to the sign-in page.", status: 204, errors: []int{403},
		}},
		{method: get, path: "/openapi.json", handle: getOpenAPI, doc: operation{
			tag: "service", summary: "This document", status: 200, answer: "any",
		}},
		{method: get, path: "/docs", page: true, handle: getDocs, doc: operation{
			tag: "service", summary: "This document as an interactive page", status: 200, answer: "page",
		}},
		{method: get, path: "/healthz", handle: getHealth, doc: operation{
			tag: "service", summary: "The process is alive", status: 200, answer: "Status",
		}},
		{method: get, path: "/readyz", handle: getReady, doc: operation{
			tag: "service", summary: "Every backend answers", status: 200, answer: "Status", errors: []int{503},
		}},
		{method: get, path: "/metrics", handle: getMetrics, doc: operation{
			tag: "service", summary: "Metrics for Prometheus", status: 200, answer: "text",
		}},
	}
}
