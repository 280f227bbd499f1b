package app

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// Dev describes what runs in dev together with an application.
type Dev struct {
	// Redis is the address of the in-process Redis; empty if a flag names another one.
	Redis string
	// Fresh reports whether the in-process Redis was empty at the start.
	Fresh bool
	// Services are the [DevService]s, in their order.
	Services []DevLine
	// Paused and Failing are the handlers that are paused, and those of [Options].Fail.
	Paused, Failing []string
	// Ignored are settings that have a value in the environment or the file which dev does
	// not use.
	Ignored []string
}

// DevLine describes a [DevService] on dev's start screen.
type DevLine struct{ Name, URL, About string }

// DevDefaults returns the defaults of dev that differ from those of serve, by setting: a
// short drain, and few log lines, since activity is reported instead.
func DevDefaults() map[string]string {
	return map[string]string{"drain_timeout": "3s", "log_level": "warn", "log_format": "text"}
}

// devFlags are settings that dev only takes from flags: of the environment and of the file,
// they may name the brokers of production.
func devFlags() []string { return []string{"amqp_url", "redis_url", "durability", "publish"} }

// isFlag reports whether a flag gives the value of a setting.
func isFlag(v settings.Values, name string) bool {
	return v.Origin(name).Source == settings.SourceFlag
}

// devDefaults returns the settings with the defaults of dev.
func devDefaults(v settings.Values) settings.Values {
	own := DevDefaults()
	maps.DeleteFunc(own, func(name, _ string) bool { return v.Given(name) })
	for _, name := range devFlags() {
		if !isFlag(v, name) {
			own[name] = ""
		}
	}
	return v.With(own)
}

// checkDev returns what is wrong with the options and settings of dev, which has its
// defaults already.
func (d *Definition) checkDev(v settings.Values, o Options) error {
	embedded := v.String("redis_url") == ""
	switch {
	case embedded && v.String("durability") != "":
		return events.Errorf(events.CodeConfig, "--durability %s: the in-process Redis of dev cannot keep that", v.String("durability")).WithField("durability").
			WithHint("leave it out, or name a Redis with --redis-url; --data keeps all but the last second")
	case embedded && v.String("publish") == redis.PublishDurable:
		return events.Errorf(events.CodeConfig, "--publish durable: the in-process Redis of dev cannot keep that").WithField("publish").
			WithHint("leave it out, or name a Redis with --redis-url")
	case !embedded && o.Data != "":
		return events.Errorf(events.CodeConfig, "--data is for the in-process Redis, and --redis-url names another one").WithField("data").
			WithHint("leave one of them out")
	}
	return errors.Join(d.checkFail(o.Fail), d.checkSamples())
}

// Dev describes what runs together with the application; it is complete once [App.Running] is
// closed, and empty outside of dev.
func (a *App) Dev() Dev {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.dev.Dev
	for i, s := range a.dev.instances {
		line := DevLine{Name: a.def.Application.Dev[i].Name, URL: s.URL}
		if s.About != nil {
			line.About = s.About(a.addr)
		}
		d.Services = append(d.Services, line)
	}
	return d
}

// embedded reports whether the Redis is the in-process one of dev.
func (a *App) embedded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dev.Redis != ""
}

// devInstances is what of dev is running.
type devInstances struct {
	Dev
	instances []*DevInstance
}

// startDev starts the in-process Redis, unless a flag names another one, and the services of
// dev, and has the settings and routes point at them. The function that it returns stops what was started; it is
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
	running := devInstances{Dev: Dev{Paused: a.paused(), Failing: a.options.Fail}}
	overrides := map[string]string{}
	if a.values.String("redis_url") == "" {
		server, err := embedded.Start(embedded.Config{Addr: a.values.String("dev_redis_addr"), Dir: a.options.Data, Logger: a.logger})
		if err != nil {
			return stop, a.def.Settings.Explain(err, map[string]string{"Addr": "dev_redis_addr"})
		}
		stops = append(stops, server.Close)
		running.Redis, running.Fresh = server.Addr(), server.Fresh()
		overrides["redis_url"] = server.URL()
	}
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
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if !slices.Contains(devFlags(), name) {
			running.Ignored = append(running.Ignored, name)
		}
	}
	running.Ignored = slices.DeleteFunc(append(devFlags(), running.Ignored...), func(name string) bool {
		return !a.values.Given(name) || isFlag(a.values, name)
	})
	a.values = a.values.With(overrides)
	a.mu.Lock()
	a.dev = running
	a.mu.Unlock()
	return stop, nil
}
