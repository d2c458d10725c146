"""PyTorch as an engine of `trimap bench peers`: requests and answers as in child.ts, a line of JSON each."""

import ctypes
import json
import os
import struct
import sys
import time

import torch
import torch.nn.functional as F

COMPARED_STEPS, LEARNING_RATE = 3, 1e-3
cuda = torch.cuda.is_available()
device = torch.device("cuda" if cuda else "cpu")
# On a GPU: exact f32, what PyTorch does unless told otherwise (convolutions in TF32), and its fast way of training.
MODES = (
    [
        {"name": "f32", "tolerance": 1e-3},
        {"name": "TF32 default", "tolerance": 3e-2},
        {"name": "AMP f16 channels_last", "tolerance": 3e-2},
    ]
    if cuda
    else [{"name": "", "tolerance": 1e-3}]
)


def read(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(data, dtype=torch.float32, offset=begin, count=(end - begin) // 4)
        tensors[name] = values.reshape(entry["shape"]).to(device)
    return tensors


def write(path, tensor):
    data = tensor.detach().float().contiguous().cpu().flatten()
    entry = {"dtype": "F32", "shape": [data.numel()], "data_offsets": [0, 4 * data.numel()]}
    header = json.dumps({"result": entry}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.write(ctypes.string_at(data.data_ptr(), 4 * data.numel()))


def synchronize():
    if cuda:
        torch.cuda.synchronize()


class Layers:
    """What both nets are made of, on parameters of trimap's names."""

    def __init__(self, parameters, training):
        self.p, self.training = parameters, training

    def norm(self, x, name):
        c = x.shape[1]
        mean, variance = (None, None) if self.training else (x.new_zeros(c).float(), x.new_ones(c).float())
        weight, bias = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        return F.batch_norm(x, mean, variance, weight, bias, self.training, 0.1, 1e-5)

    def conv(self, x, name, stride=1):
        weight = self.p[f"{name}.weight"]
        return F.conv2d(x, weight, self.p.get(f"{name}.bias"), stride, (weight.shape[-1] - 1) // 2)

    def up(self, x, name):
        return F.conv_transpose2d(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"], stride=2)

    def double(self, x, name):
        for i in (1, 2):
            x = F.relu(self.norm(self.conv(x, f"{name}.conv{i}"), f"{name}.bn{i}"))
        return x

    def residual(self, x, name, stride):
        y = F.relu(self.norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
        y = self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
        if f"{name}.skip_conv.weight" in self.p:
            x = self.norm(self.conv(x, f"{name}.skip_conv", stride), f"{name}.skip_bn")
        return F.relu(y + x)


def unet(net, x):
    skips = []
    for level in (1, 2, 3, 4):
        skips.append(net.double(x, f"enc{level}"))
        x = F.max_pool2d(skips[-1], 2)
    x = net.double(x, "bottom")
    for level in (4, 3, 2, 1):
        x = net.double(torch.cat([skips.pop(), net.up(x, f"dec{level}.up")], 1), f"dec{level}")
    return net.conv(x, "head")


def resnet34_unet(net, x):
    skips = [F.relu(net.norm(net.conv(x, "stem_conv", 2), "stem_bn"))]
    x = F.max_pool2d(skips[0], 3, 2, 1)
    for stage, count in enumerate((3, 4, 6, 3), 1):
        for block in range(count):
            x = net.residual(x, f"stage{stage}.{block}", 2 if block == 0 and stage > 1 else 1)
        if stage < 4:
            skips.append(x)
    for level in (4, 3, 2, 1):
        x = net.double(torch.cat([net.up(x, f"dec{level}.up"), skips.pop()], 1), f"dec{level}")
    return net.conv(net.up(x, "tail_up"), "head")


NETS = {"unet": unet, "resnet34-unet": resnet34_unet}


def loss_of(logits, target):
    logits = logits.float()
    p = torch.sigmoid(logits)
    dims = (1, 2, 3)
    dice = (2 * (p * target).sum(dims) + 1) / (p.sum(dims) + target.sum(dims) + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + (1 - dice).mean()


def prepare_convolution(work, tensors, amp):
    x, w, dy = tensors["x"], tensors["w"], tensors["dy"]
    if amp:
        x, w, dy = (t.half().contiguous(memory_format=torch.channels_last) for t in (x, w, dy))
    transposed = work["work"] == "convTranspose2d"
    both, padding = [work["stride"]] * 2, [work["padding"]] * 2

    def backward(mask):
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, both, padding, [1, 1], transposed, [0, 0], 1, mask
        )

    call = {
        "forward": lambda: (F.conv_transpose2d if transposed else F.conv2d)(x, w, None, both, padding),
        "input gradient": lambda: backward([True, False, False])[0],
        "filter gradient": lambda: backward([False, True, False])[1],
    }[work["pass"]]
    return call, call


def prepare_step(work, tensors, amp):
    image, target = tensors.pop("image"), tensors.pop("target")
    net = NETS[work["net"]]
    if amp:
        image = image.contiguous(memory_format=torch.channels_last)
        tensors = {
            name: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for name, t in tensors.items()
        }
    autocast = torch.autocast(device.type, dtype=torch.float16, enabled=amp)
    if work["work"] == "infer":

        def infer():
            with torch.no_grad(), autocast:
                return net(Layers(tensors, False), image)

        return infer, infer
    for t in tensors.values():
        t.requires_grad_()
    optimizer = torch.optim.Adam(tensors.values(), lr=LEARNING_RATE, fused=cuda)
    scaler = torch.amp.GradScaler(device.type, init_scale=1024.0, enabled=amp)

    def train():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = loss_of(net(Layers(tensors, True), image), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return train, lambda: torch.tensor([train().item() for _ in range(COMPARED_STEPS)])


def use(mode):
    torch.backends.cudnn.benchmark = cuda
    torch.backends.cudnn.allow_tf32 = mode != "f32"
    torch.backends.cuda.matmul.allow_tf32 = False


def prepare(request):
    mode = MODES[request["mode"]]["name"]
    use(mode)
    work = request["work"]
    make = prepare_step if work["work"] in ("train", "infer") else prepare_convolution
    call, result = make(work, read(request["inputs"]), mode.startswith("AMP"))
    write(request["result"], result())
    return call


def main():
    def answer(**values):
        print(json.dumps(values), flush=True)

    where = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if cuda else "processor"
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()}"
    answer(name=f"PyTorch {torch.__version__}", adapter=where if cuda else f"{where}, {threads}", modes=MODES)
    calls = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                calls[request["mode"]] = prepare(request)
                answer()
            elif request["do"] == "time":
                call = calls[request["mode"]]
                use(MODES[request["mode"]]["name"])
                synchronize()
                start = time.perf_counter()
                for _ in range(request["count"]):
                    call()
                synchronize()
                answer(ms=(time.perf_counter() - start) * 1000 / request["count"])
            else:
                calls.clear()
                answer()
        except Exception as error:  # the parent says which work it was
            answer(error=f"{type(error).__name__}: {error}")


main()
