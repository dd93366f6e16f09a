{{/* What the pods of the server and of the migrating Job share. */}}
{{- define "portcullis.pod" -}}
automountServiceAccountToken: false
# Off: a Service named portcullis would put PORTCULLIS_PORT and the like among the server's settings.
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where replicas are put; what `affinity` says about other pods wins. */}}
{{- define "portcullis.spread" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (fromYaml (include "portcullis.selectorLabels" .))) -}}
{{- if not (hasKey $affinity "podAntiAffinity") -}}
{{- if eq .Values.spread.nodes "refuse" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- else if eq .Values.spread.nodes "avoid" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) -}}
{{- end -}}
{{- end -}}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if ne .Values.spread.zones "allow" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .Values.spread.zones "refuse") }}
    labelSelector:
      matchLabels:
        {{- include "portcullis.selectorLabels" . | nindent 8 }}
    # Each version by itself: during an update the old ones do not count.
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
