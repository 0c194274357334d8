package peers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// centrifugoAPI publishes through Centrifugo's HTTP API, as a backend does:
// several requests at once, each on a connection that is kept.
type centrifugoAPI struct {
	url    string
	client http.Client
	bodies chan []byte
	fail   func(error)
	stop   context.CancelFunc
	group  sync.WaitGroup
}

// apiRequests is how many requests are made at once: as many as there are
// messages on their way with a backlog.
const apiRequests = 16

// newCentrifugoAPI publishes at address, and tells fail of what went wrong.
func newCentrifugoAPI(address string, fail func(error)) *centrifugoAPI {
	ctx, stop := context.WithCancel(context.Background())
	a := &centrifugoAPI{
		url:    "http://" + address + "/api/publish",
		client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: apiRequests}},
		bodies: make(chan []byte),
		fail:   fail,
		stop:   stop,
	}
	for range apiRequests {
		a.group.Go(func() {
			for body := range a.bodies {
				if err := a.post(ctx, body); err != nil && ctx.Err() == nil {
					a.fail(fmt.Errorf("publish through the API: %w", err))
				}
			}
		})
	}
	return a
}

// publish waits until one of the requests can be made.
func (a *centrifugoAPI) publish(text []byte) error {
	body, err := json.Marshal(map[string]string{"channel": channel, "b64data": base64.StdEncoding.EncodeToString(text)})
	if err != nil {
		return err
	}
	a.bodies <- body
	return nil
}

func (a *centrifugoAPI) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return err
	}
	said, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	var result struct {
		Error  json.RawMessage `json:"error"`
		Result json.RawMessage `json:"result"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(said, &result) != nil || result.Error != nil || result.Result == nil {
		return fmt.Errorf("the server answered %s: %s", answer.Status, said)
	}
	return nil
}

// close breaks off what is under way. Nothing may be published any more.
func (a *centrifugoAPI) close() {
	a.stop()
	close(a.bodies)
	a.group.Wait()
	a.client.CloseIdleConnections()
}
