package mail

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
)

// parse returns the parts of a mail that people read. What cannot be parsed is
// shown as it came: a catcher refuses nothing.
func parse(raw []byte) Caught {
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Caught{Text: string(raw)}
	}
	c := Caught{ID: strings.Trim(m.Header.Get("Message-ID"), "<> "), Subject: m.Header.Get("Subject")}
	if s, err := new(mime.WordDecoder).DecodeHeader(c.Subject); err == nil {
		c.Subject = s
	}
	c.Text = text(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0)
	return c
}

// text returns a part's text; of several parts the first one that has any. The
// depth is bounded, since a catcher accepts mail from any client.
func text(contentType, encoding string, body io.Reader, depth int) string {
	kind, params, _ := mime.ParseMediaType(contentType)
	if strings.HasPrefix(kind, "multipart/") && depth < 5 {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if err != nil {
				return ""
			}
			if s := text(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1); s != "" {
				return s
			}
		}
	}
	if kind != "" && !strings.HasPrefix(kind, "text/") {
		return ""
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, _ := io.ReadAll(body) // What was read before an error is shown.
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
