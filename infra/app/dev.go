package app

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// Dev describes what runs in dev together with an application.
type Dev struct {
	// Redis is the address of the in-process Redis.
	Redis string
	// Services are the [DevService]s, in their order.
	Services []DevLine
}

// DevLine describes a [DevService] on dev's start screen.
type DevLine struct{ Name, URL, About string }

// DevDefaults returns the defaults of dev that differ from those of serve, by setting: a
// short drain, and few log lines, since activity is reported instead.
func DevDefaults() map[string]string {
	return map[string]string{"drain_timeout": "3s", "log_level": "warn", "log_format": "text"}
}

// devDefaults returns the settings with the defaults of dev.
func devDefaults(v settings.Values) settings.Values {
	own := DevDefaults()
	maps.DeleteFunc(own, func(name, _ string) bool { return v.Given(name) })
	own["amqp_url"], own["durability"] = "", ""
	return v.With(own)
}

// Dev describes what runs together with the application; it is complete once [App.Running] is
// closed, and empty outside of dev.
func (a *App) Dev() Dev {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := Dev{Redis: a.dev.Redis}
	for i, s := range a.dev.instances {
		line := DevLine{Name: a.def.Application.Dev[i].Name, URL: s.URL}
		if s.About != nil {
			line.About = s.About(a.addr)
		}
		d.Services = append(d.Services, line)
	}
	return d
}

// devInstances is what of dev is running.
type devInstances struct {
	Redis     string
	instances []*DevInstance
}

// startDev starts the in-process Redis and the services of dev, and has the settings
// and routes point at them. The function that it returns stops what was started; it is
// never nil.
func (a *App) startDev(routes map[string]http.Handler) (stop func() error, err error) {
	var stops []func() error
	stop = func() error {
		var errs []error
		for _, f := range slices.Backward(stops) {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	redis, err := embedded.Start(embedded.Config{Addr: a.values.String("dev_redis_addr")})
	if err != nil {
		return stop, a.def.Settings.Explain(err, map[string]string{"Addr": "dev_redis_addr"})
	}
	stops = append(stops, redis.Close)
	running := devInstances{Redis: redis.Addr()}
	overrides := map[string]string{"redis_url": redis.URL()}
	for _, s := range a.def.Application.Dev {
		var instance *DevInstance
		err := guard(fmt.Sprintf("the application %q: the service %q for dev", a.def.Name, s.Name), func() (err error) {
			instance, err = s.Start(DevEnvironment{Settings: a.values, Logger: a.logger, Report: a.options.Report})
			return err
		})
		if err == nil && instance == nil {
			err = events.Errorf(events.CodeConfig, "the application %q: the service %q for dev started without an instance; return one", a.def.Name, s.Name)
		}
		if err != nil {
			return stop, a.def.Settings.Explain(err, nil)
		}
		if instance.Close != nil {
			stops = append(stops, instance.Close)
		}
		maps.Copy(overrides, instance.Overrides)
		maps.Copy(routes, instance.Routes)
		running.instances = append(running.instances, instance)
	}
	a.values = a.values.With(overrides)
	a.mu.Lock()
	a.dev = running
	a.mu.Unlock()
	return stop, nil
}
