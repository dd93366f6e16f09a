{{/*
What the schema cannot say, or not in words that help. All of it holds with `--skip-schema-validation` too.
*/}}
{{- define "portcullis.refuse" -}}
{{- include "portcullis.refuseName" . -}}
{{- include "portcullis.refuseProfile" . -}}
{{- include "portcullis.refuseSecrets" . -}}
{{- include "portcullis.refuseVolumes" . -}}
{{- include "portcullis.refuseClientCertificates" . -}}
{{- include "portcullis.refuseNetwork" . -}}
{{- end -}}

{{- define "portcullis.refuseName" -}}
{{- $name := include "portcullis.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the objects would be named %s, and a Service's name begins with a letter and is of a-z, 0-9 and -: set fullnameOverride" $name) -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.refuseProfile" -}}
{{- /* What follows the drain waits in turn for a database that hangs: notices under way, counts, limits, its own row. */ -}}
{{- $grace := add (int .Values.drainSeconds) 15 | int -}}
{{- if eq .Values.database.engine "sqlite" -}}
  {{- if ne (int .Values.replicaCount) 1 -}}
  {{- fail (printf "replicaCount is %v: the embedded database has one writer, set it to 1, or database.engine to postgresql" .Values.replicaCount) -}}
  {{- end -}}
  {{- if .Values.autoscaling.enabled -}}
  {{- fail "autoscaling.enabled: the embedded database has one writer; more replicas need database.engine postgresql" -}}
  {{- end -}}
  {{- if .Values.database.secretName -}}
  {{- fail "database.secretName is set and database.engine is sqlite, which has no URL: set database.engine to postgresql" -}}
  {{- end -}}
  {{- range $name, $secret := dict "database.caSecretName" .Values.database.caSecretName "migration.secretName" .Values.migration.secretName -}}
    {{- if $secret -}}
    {{- fail (printf "%s is set and database.engine is sqlite, which has no server: leave it out, or set database.engine to postgresql" $name) -}}
    {{- end -}}
  {{- end -}}
{{- else if eq .Values.database.engine "postgresql" -}}
  {{- $grace = add $grace (int .Values.preStopSeconds) | int -}}
  {{- if not .Values.database.secretName -}}
  {{- fail "database.secretName is empty: name a Secret with the URL of the database (postgres://USER:PASSWORD@HOST/DATABASE), under the entry that database.key names" -}}
  {{- end -}}
  {{- if lt (int .Values.replicaCount) 1 -}}
  {{- fail (printf "replicaCount is %v: set it to 1 or more" .Values.replicaCount) -}}
  {{- end -}}
  {{- if .Values.bootstrap.enabled -}}
  {{- fail "bootstrap.enabled: no pod of this profile has a volume for the credentials; run portcullis bootstrap where they belong, as the notes say" -}}
  {{- end -}}
  {{- if .Values.autoscaling.enabled -}}
    {{- if not (dig "requests" "cpu" "" .Values.resources) -}}
    {{- fail "autoscaling.enabled: resources.requests.cpu is missing, and usage is measured against it" -}}
    {{- end -}}
    {{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
    {{- fail (printf "autoscaling.minReplicas is %v, and maxReplicas only %v" .Values.autoscaling.minReplicas .Values.autoscaling.maxReplicas) -}}
    {{- end -}}
  {{- end -}}
{{- else -}}
  {{- fail (printf "database.engine is %v: set it to sqlite or postgresql" .Values.database.engine) -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) $grace -}}
{{- fail (printf "terminationGracePeriodSeconds is %v: set it to %v or more, 15 above drainSeconds (and preStopSeconds, with postgresql), or the server is killed while it drains, or while it gives up on a database that hangs" .Values.terminationGracePeriodSeconds $grace) -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.admin.enabled) -}}
{{- fail "serviceMonitor.enabled: without admin.enabled there is no port to scrape" -}}
{{- end -}}
{{- if and .Values.admin.enabled (eq (int .Values.admin.port) 50051) -}}
{{- fail "admin.port is 50051, which is the port for gRPC: choose another" -}}
{{- end -}}
{{- range $name, $file := dict "prometheusRule" "files/alerts.yaml" "dashboard" "files/dashboard.json" -}}
  {{- if and (index $.Values $name "enabled") (not ($.Files.Get $file)) -}}
  {{- fail (printf "%s.enabled: this chart has no %s" $name $file) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.refuseSecrets" -}}
{{- if not .Values.tls.secretName -}}
{{- fail "tls.secretName is empty: name a Secret with tls.crt and tls.key, the server refuses plaintext beyond loopback" -}}
{{- end -}}
{{- if .Values.smtp.url -}}
  {{- if regexMatch "://[^@]*:[^@]*@" .Values.smtp.url -}}
  {{- fail "smtp.url holds a password: put it into a Secret, and name that in smtp.secretName" -}}
  {{- end -}}
  {{- if not .Values.smtp.from -}}
  {{- fail "smtp.from is empty: with smtp.url set, say who the mails are from" -}}
  {{- end -}}
{{- else if .Values.smtp.secretName -}}
  {{- fail "smtp.secretName is set and smtp.url is empty: say which mail server the password is for" -}}
{{- end -}}
{{- if contains "@" (default "" .Values.otlpEndpoint) -}}
{{- fail "otlpEndpoint holds a user or a password: put what the collector asks for into a Secret, and name that in otlpHeaders.secretName" -}}
{{- end -}}
{{- if and .Values.otlpHeaders.secretName (not .Values.otlpEndpoint) -}}
{{- fail "otlpHeaders.secretName is set and otlpEndpoint is empty: say which collector asks for them" -}}
{{- end -}}
{{- $own := fromYaml (include "portcullis.ownSettings" .) -}}
{{- include "portcullis.refuseTwice" (list "extraEnv" .Values.extraEnv) -}}
{{- range .Values.extraEnv -}}
  {{- if hasKey $own .name -}}
  {{- fail (printf "extraEnv sets %s, which the chart sets itself: use %s" .name (index $own .name)) -}}
  {{- end -}}
  {{- if regexMatch "PLAINTEXT|INSECURE" .name -}}
  {{- fail (printf "extraEnv sets %s: this chart never serves in plaintext; name a certificate in tls.secretName" .name) -}}
  {{- end -}}
  {{- if and .value (or (regexMatch "(PASSWORD|HEADERS)$" .name) (regexMatch "://[^/@\\s]*:[^/\\s]+@|PRIVATE KEY" .value)) -}}
  {{- fail (printf "extraEnv gives %s a secret as its value: put it into a Secret, and name that in valueFrom.secretKeyRef" .name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.refuseVolumes" -}}
{{- include "portcullis.refuseTwice" (list "extraVolumes" .Values.extraVolumes) -}}
{{- range .Values.extraVolumes -}}
  {{- /* All of them, in use or not: what is switched on later must not break what has been there. */ -}}
  {{- if has .name (list "client-ca" "data" "database-ca" "secrets-key" "tls" "tmp") -}}
  {{- fail (printf "extraVolumes names %s, as the chart names a volume of its own: choose another name" .name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Kubernetes takes the last of two variables, and neither of two volumes. */}}
{{- define "portcullis.refuseTwice" -}}
{{- $seen := dict -}}
{{- $value := first . -}}
{{- range last . -}}
  {{- if hasKey $seen .name -}}
  {{- fail (printf "%s names %s twice: leave one of them out" $value .name) -}}
  {{- end -}}
  {{- $_ := set $seen .name true -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.refuseClientCertificates" -}}
{{- with .Values.tls.clientCa -}}
  {{- if and .secretName .configMapName -}}
  {{- fail "tls.clientCa names a Secret and a ConfigMap: name one of them, with all authorities in it" -}}
  {{- end -}}
{{- end -}}
{{- if .Values.tls.requireClientCert -}}
  {{- if not (include "portcullis.hasClientCa" .) -}}
  {{- fail "tls.requireClientCert: nobody's certificate would be believed; name the authorities in tls.clientCa" -}}
  {{- end -}}
  {{- if not .Values.admin.enabled -}}
  {{- fail "tls.requireClientCert: portcullis health, which the probes run, has no certificate to show, and the pods would be killed; set admin.enabled, so that they ask that port" -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Settings of the server that have a value of their own. */}}
{{- define "portcullis.ownSettings" -}}
OTEL_EXPORTER_OTLP_HEADERS: otlpHeaders
PORTCULLIS_ADMIN_LISTEN: admin
PORTCULLIS_DATABASE_URL: database
PORTCULLIS_DRAIN: drainSeconds
PORTCULLIS_LISTEN: service, the pod's own port is fixed
PORTCULLIS_LOG: log
PORTCULLIS_LOG_FORMAT: logFormat
PORTCULLIS_MAX_CALLS: maxCalls
PORTCULLIS_MAX_CALLS_PER_ADDRESS: maxCallsPerAddress
PORTCULLIS_MAX_CONNECTIONS: maxConnections
PORTCULLIS_MAX_CONNECTIONS_PER_ADDRESS: maxConnectionsPerAddress
PORTCULLIS_OTLP_ENDPOINT: otlpEndpoint
PORTCULLIS_SECRETS_KEY_FILE: secretsKey
PORTCULLIS_SMTP_FROM: smtp.from
PORTCULLIS_SMTP_PASSWORD: smtp.secretName
PORTCULLIS_SMTP_PASSWORD_FILE: smtp.secretName
PORTCULLIS_SMTP_URL: smtp.url
PORTCULLIS_TLS_CERT: tls
PORTCULLIS_TLS_CLIENT_CA: tls.clientCa
PORTCULLIS_TLS_KEY: tls
PORTCULLIS_TLS_REQUIRE_CLIENT_CERT: tls.requireClientCert
{{- end -}}

{{/* An empty list of peers would mean everybody, or, where there is no rule at all, nobody. */}}
{{- define "portcullis.refuseNetwork" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $policy.enabled -}}
{{- if not $policy.clients -}}
{{- fail "networkPolicy.clients is empty: nobody could call; name the namespaces or pods that may" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not $policy.monitoring) -}}
{{- fail "networkPolicy.monitoring is empty: Prometheus could not scrape; name its namespace or pods" -}}
{{- end -}}
{{- if not $policy.dns -}}
{{- fail "networkPolicy.dns is empty: no name could be looked up; name the cluster's DNS" -}}
{{- end -}}
{{- range $on := list
  (list "database" (eq .Values.database.engine "postgresql") "the database could not be reached")
  (list "collector" (not (empty .Values.otlpEndpoint)) "otlpEndpoint could not be reached")
  (list "webhooks" (not (empty .Values.secretsKey.secretName)) "no webhook could be delivered")
  (list "smtp" (not (empty .Values.smtp.url)) "the mail server could not be reached") -}}
  {{- if and (index $on 1) (not (index $policy (index $on 0) "to")) -}}
  {{- fail (printf "networkPolicy.%s.to is empty: %s; name where it is" (index $on 0) (index $on 2)) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $url := dict "collector" .Values.otlpEndpoint "smtp" .Values.smtp.url -}}
  {{- if $url -}}
  {{- $port := index $policy $name "port" | int -}}
  {{- $called := include "portcullis.portOf" $url | int -}}
  {{- $translated := false -}}
  {{- range index $policy $name "to" -}}
    {{- $translated = or $translated (not .ipBlock) -}}
  {{- end -}}
  {{- if and $port (ne $port $called) (not $translated) -}}
  {{- fail (printf "networkPolicy.%s.port is %d, and %s leads to port %d: leave the first out, or make them the same; only a Service in front of pods could translate" $name $port (ternary "smtp.url" "otlpEndpoint" (eq $name "smtp")) $called) -}}
  {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
