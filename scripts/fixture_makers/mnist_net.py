"""The network of PyTorch's MNIST tutorial, twice: as a class of its own and as an nn.Sequential."""
from torch import nn
from torch.nn import functional as F


class MnistNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def sequential(net: MnistNet) -> nn.Sequential:
    """The same layers with the same weights, every step of the walk through them a module."""
    return nn.Sequential(
        net.conv1, nn.MaxPool2d(2), nn.ReLU(),
        net.conv2, nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
        net.fc1, nn.ReLU(), nn.Dropout(), net.fc2, nn.LogSoftmax(dim=1))
