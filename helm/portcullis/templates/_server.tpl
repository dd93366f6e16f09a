{{/* The one container that serves, in either profile. */}}
{{- define "portcullis.server" -}}
{{- $shared := eq .Values.database.engine "postgresql" -}}
name: portcullis
{{ include "portcullis.container" . }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
args:
  - serve
  {{- if not $shared }}
  - --database-url
  - {{ include "portcullis.databaseUrl" . }}
  {{- end }}
  - --listen
  - 0.0.0.0:50051
  - --tls-cert
  - /etc/portcullis/tls/tls.crt
  - --tls-key
  - /etc/portcullis/tls/tls.key
  {{- if include "portcullis.hasClientCa" . }}
  - --tls-client-ca
  - /etc/portcullis/client-ca/{{ .Values.tls.clientCa.key }}
  {{- end }}
  {{- if .Values.tls.requireClientCert }}
  - --tls-require-client-cert
  {{- end }}
  {{- range $value := list "maxConnections" "maxConnectionsPerAddress" "maxCalls" "maxCallsPerAddress" }}
  - --{{ kebabcase $value }}
  - {{ int (index $.Values $value) | quote }}
  {{- end }}
  {{- if .Values.admin.enabled }}
  - --admin-listen
  - 0.0.0.0:{{ .Values.admin.port }}
  {{- end }}
  {{- if .Values.secretsKey.secretName }}
  - --secrets-key-file
  - /etc/portcullis/secrets/{{ .Values.secretsKey.key }}
  {{- end }}
env:
  {{- include "portcullis.env" (dict "root" . "database" .Values.database) | nindent 2 }}
  {{- with include "portcullis.mailEnv" . }}
  {{- . | nindent 2 }}
  {{- end }}
ports:
  - name: grpc
    containerPort: 50051
  {{- if .Values.admin.enabled }}
  - name: admin
    containerPort: {{ .Values.admin.port }}
  {{- end }}
# Startup and liveness ask for the process, readiness for the service: a server that cannot answer
# for its keys is taken out of the Service, not killed.
startupProbe:
  {{- include "portcullis.probe" (dict "root" . "values" .Values.probes.startup "path" "/livez") | nindent 2 }}
livenessProbe:
  {{- include "portcullis.probe" (dict "root" . "values" .Values.probes.liveness "path" "/livez") | nindent 2 }}
readinessProbe:
  {{- include "portcullis.probe" (dict "root" . "values" .Values.probes.readiness "path" "/readyz" "service" "portcullis.v1.KeyService") | nindent 2 }}
{{- if and $shared .Values.preStopSeconds }}
# A pod that is to stop leaves the Service and hears of it at the same time: until all have heard, it goes on. One replica
# alone would only be away for longer.
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.preStopSeconds }}
{{- end }}
volumeMounts:
  {{- if $shared }}
  - name: tmp
    mountPath: /tmp
  {{- else }}
  {{- include "portcullis.dataMounts" . | nindent 2 }}
  {{- end }}
  # The folder, not the file: only so a renewed certificate gets in.
  - name: tls
    mountPath: /etc/portcullis/tls
    readOnly: true
  {{- if include "portcullis.hasClientCa" . }}
  - name: client-ca
    mountPath: /etc/portcullis/client-ca
    readOnly: true
  {{- end }}
  {{- if and $shared .Values.database.caSecretName }}
  {{- include "portcullis.databaseCaMount" . | nindent 2 }}
  {{- end }}
  {{- if .Values.secretsKey.secretName }}
  - name: secrets-key
    mountPath: /etc/portcullis/secrets
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "portcullis.hasClientCa" -}}
{{- with .Values.tls.clientCa -}}
{{- if or .secretName .configMapName }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.serverVolumes" -}}
- name: tls
  secret:
    secretName: {{ .Values.tls.secretName }}
    # Octal 0440: for the group that fsGroup names.
    defaultMode: 288
{{- with .Values.tls.clientCa.secretName }}
- name: client-ca
  secret:
    secretName: {{ . }}
    defaultMode: 288
{{- end }}
{{- with .Values.tls.clientCa.configMapName }}
- name: client-ca
  configMap:
    name: {{ . }}
{{- end }}
{{- if and (eq .Values.database.engine "postgresql") .Values.database.caSecretName }}
{{ include "portcullis.databaseCaVolume" . }}
{{- end }}
{{- with .Values.secretsKey.secretName }}
- name: secrets-key
  secret:
    secretName: {{ . }}
    defaultMode: 288
{{- end }}
# SQLite's own temporary files, and what a library may want to write; the root file system is read-only.
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
