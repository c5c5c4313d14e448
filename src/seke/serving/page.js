"use strict";
const at = (id) => document.getElementById(id);
const [drop, file, preview, video, hint] = ["drop", "file", "preview", "video", "hint"].map(at);
const [camera, shoot, problem, answer] = ["camera", "shoot", "problem", "answer"].map(at);
let stream = null;
let asked = 0;

/** Show a message, or none. */
function tell(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

/** Show one thing in the frame: the preview, the camera's picture, or the hint. */
function frame(shown) {
  for (const part of [preview, video, hint]) part.hidden = part !== shown;
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
  shoot.hidden = true;
  camera.textContent = "Use the camera";
}

/** Send a picture and show what comes back; an answer that a later picture has overtaken is dropped. */
async function see(picture) {
  const mine = ++asked;
  tell("");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(picture);
  frame(preview);
  answer.classList.add("busy");
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch("see", { method: "POST", body: picture });
    const text = await response.text();
    if (mine !== asked) return;
    if (response.ok) answer.innerHTML = text; // made by the server, which escapes what the model says
    else {
      tell(text);
      answer.replaceChildren();
    }
  } catch {
    if (mine === asked) tell("The program does not answer. Is it still running?");
  } finally {
    if (mine === asked) {
      answer.classList.remove("busy");
      answer.removeAttribute("aria-busy");
    }
  }
}

preview.addEventListener("error", () => {
  hint.textContent = "This browser cannot show the picture; it was sent all the same.";
  frame(hint);
});
file.addEventListener("change", () => {
  if (file.files.length) {
    stopCamera();
    see(file.files[0]);
  }
  file.value = ""; // so that the same file may be chosen again
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const [picture] = event.dataTransfer.files;
  if (!picture) return tell("That was no file. Save the picture first, then drop it here.");
  stopCamera();
  see(picture);
});
document.addEventListener("paste", (event) => {
  const [picture] = event.clipboardData.files;
  if (picture) {
    stopCamera();
    see(picture);
  }
});
camera.addEventListener("click", async () => {
  if (stream) {
    stopCamera();
    return frame(preview.src ? preview : hint);
  }
  if (!navigator.mediaDevices) return tell("Browsers give the camera only to pages of this machine, or over https.");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  } catch (error) {
    return tell(`No camera: ${error.message}`);
  }
  tell("");
  video.srcObject = stream;
  frame(video);
  shoot.hidden = false;
  camera.textContent = "Stop the camera";
});
shoot.addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  stopCamera();
  canvas.toBlob(see, "image/jpeg", 0.95);
});
