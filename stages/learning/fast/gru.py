"""A GRU that a processor learns with in a quarter of the operations of torch's, with the same weights.

torch's GRU is some three dozen small operations a time step on a processor, with the gradient; with a small batch most
of the time goes by between them. Here they are five, and three for the gradient: what a step can do without the one
before it (the inputs' products, the slopes of the gates, the gradients of weights) is done for all steps at once.

Conventions: B windows of T steps, I inputs, H units. Gates in torch's order: reset r, update z, new n.
    r, z = sigmoid(W_i x + b_i + W_h h + b_h)    n = tanh(W_i x + b_i + r (W_h h + b_h))    h' = (1 - z) n + z h
(Cho et al. 2014; the bias within r's product is that of torch and cuDNN).
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GRU(nn.GRU):
    """torch's nn.GRU of one layer, batch first, and its state dict; on a processor gradients are found as above.

    Under autocast all of it, the state as well, is in autocast's numbers.
    """

    def __init__(self, inputs: int, units: int):
        super().__init__(inputs, units, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, I] -> every step's state [B, T, H] and the last one's [1, B, H]; the first starts from 0."""
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            states = _Steps.apply(dtype, x, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        return states, states[None, :, -1]


class _Steps(torch.autograd.Function):
    """x [B, T, I] and the weights of nn.GRU -> states [B, T, H] in `dtype`."""

    @staticmethod
    def forward(ctx, dtype, x, weight_ih, weight_hh, bias_ih, bias_hh):
        ctx.dtypes = [value.dtype for value in (x, weight_ih, weight_hh, bias_ih, bias_hh)]
        inputs = x.to(dtype).transpose(0, 1).flatten(0, 1)  # [T * B, I], step by step
        weight_ih, weight_hh, bias_ih, bias_hh = (w.to(dtype) for w in (weight_ih, weight_hh, bias_ih, bias_hh))
        (windows, steps), units = x.shape[:2], weight_hh.shape[1]
        gates = torch.addmm(bias_ih, inputs, weight_ih.t()).view(steps, windows, 3 * units)
        recurrent = torch.empty_like(gates)
        states = gates.new_zeros(steps + 1, windows, units)
        for gate, told, state, following in zip(gates, recurrent, states[:-1], states[1:], strict=True):
            torch.addmm(bias_hh, state, weight_hh.t(), out=told)
            both, new = gate[:, : 2 * units], gate[:, 2 * units :]
            both.add_(told[:, : 2 * units]).sigmoid_()
            new.addcmul_(both[:, :units], told[:, 2 * units :]).tanh_()
            torch.lerp(new, state, both[:, units:], out=following)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, recurrent, states)
        return states[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        inputs, weight_ih, weight_hh, gates, recurrent, states = ctx.saved_tensors
        (steps, windows, units), before = states[1:].shape, states[:-1]
        reset, update, new = gates.chunk(3, dim=2)
        told = recurrent[..., 2 * units :]
        # How fast what goes into each gate moves the state; into the new one both by the inputs and by the state.
        by_input = (1 - update) * (1 - new * new)
        slopes = torch.stack(
            [by_input * told * reset * (1 - reset), (before - new) * update * (1 - update), by_input * reset], dim=2
        )
        of_states = gradient.transpose(0, 1).clone(memory_format=torch.contiguous_format)
        of_told = torch.empty_like(slopes)  # [T, B, 3, H]
        flat = of_told.flatten(2)
        for step in reversed(range(steps)):
            torch.mul(of_states[step, :, None], slopes[step], out=of_told[step])
            if step:
                of_states[step - 1].addcmul_(of_states[step], update[step]).addmm_(flat[step], weight_hh)
        of_gates = flat.clone()
        torch.mul(of_states, by_input, out=of_gates[..., 2 * units :])
        of_gates, of_told = of_gates.flatten(0, 1), flat.flatten(0, 1)
        found = [
            (of_gates @ weight_ih).unflatten(0, (steps, windows)).transpose(0, 1),
            of_gates.t() @ inputs,
            of_told.t() @ before.flatten(0, 1),
            of_gates.sum(dim=0),
            of_told.sum(dim=0),
        ]
        return None, *(value.to(dtype) for value, dtype in zip(found, ctx.dtypes, strict=True))
