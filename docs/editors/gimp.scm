; Filters > Enhance > Restore focus: restores what is visible and puts it on top as a new layer.
;
; Script-Fu cannot start programs, so a running `defocusfix restore --watch` does the work: it is
; handed a TIFF in the folder it watches, and the layer is read from its output. For GIMP 2.10.

(define (defocusfix-wait path seconds)
  (let ((deadline (+ (realtime) seconds)))
    (while (and (not (file-exists? path)) (< (realtime) deadline))
      (usleep 200000)
      (gimp-progress-pulse))
    (file-exists? path)))

(define (script-fu-restore-focus image drawable folder seconds)
  (let* ((name (string-append "gimp-" (number->string (realtime)) "-" (number->string image)))
         (handed-over (string-append folder "/" name ".tif"))
         (restored (string-append folder "/restored/" name "_restored.tif"))
         (copy (car (gimp-image-duplicate image))))
    ; 16 bits with the curve of a display: linear light would be taken for a dark photo
    (gimp-image-flatten copy)
    (if (not (= (car (gimp-image-get-precision copy)) PRECISION-U16-GAMMA))
        (gimp-image-convert-precision copy PRECISION-U16-GAMMA))
    (file-tiff-save RUN-NONINTERACTIVE copy (car (gimp-image-get-active-layer copy))
                    handed-over handed-over 0)
    (gimp-image-delete copy)
    (gimp-progress-set-text "Restoring focus")
    (if (defocusfix-wait restored seconds)
        (let ((layer (car (gimp-file-load-layer RUN-NONINTERACTIVE image restored))))
          (gimp-image-insert-layer image layer 0 0)
          (gimp-item-set-name layer "Restored focus")
          (file-delete restored))
        (gimp-message (string-append "Nothing came back in time. In a terminal, start: "
                                     "defocusfix restore --watch " folder
                                     " -o " folder "/restored")))
    (file-delete handed-over)
    (gimp-displays-flush)))

(script-fu-register
  "script-fu-restore-focus" "_Restore focus..."
  "Bring what is visible back into focus, as a new layer"
  "defocusfix" "Apache-2.0" "2026" "RGB* GRAY*"
  SF-IMAGE "Image" 0
  SF-DRAWABLE "Layer" 0
  SF-DIRNAME "Folder that defocusfix watches" ""
  SF-ADJUSTMENT "Seconds to wait at most" '(600 10 7200 10 60 0 1))
(script-fu-menu-register "script-fu-restore-focus" "<Image>/Filters/Enhance")
