# module torchvision.ops.misc torchvision.models._utils
class FrozenBatchNorm2d(Module):
  def forward(self, x):
    w = torch.reshape(self.weight, [1, -1, 1, 1])
    return x * w + torch.reshape(self.bias, [1, -1, 1, 1])
class ConvNormActivation(Sequential):
  pass
class Conv2dNormActivation(Sequential):
  pass
class Conv3dNormActivation(Sequential):
  pass
class ConvBNActivation(Sequential):
  pass
class MLP(Sequential):
  pass
class Permute(Module):
  def forward(self, x):
    return torch.permute(x, self.dims)
class SqueezeExcitation(Module):
  def forward(self, input):
    scale = self.avgpool(input)
    scale = self.fc1(scale)
    scale = self.activation(scale)
    scale = self.fc2(scale)
    return self.scale_activation(scale) * input
# module torchvision.ops.stochastic_depth
class StochasticDepth(Module):
  def forward(self, input):
    return input
# module torchvision.models.resnet
class BasicBlock(Module):
  def forward(self, x):
    identity = x
    out = self.relu(self.bn1(self.conv1(x)))
    out = self.bn2(self.conv2(out))
    if self.downsample is not None:
      identity = self.downsample(x)
    out = torch.add_(out, identity)
    return self.relu(out)
class Bottleneck(Module):
  def forward(self, x):
    identity = x
    out = self.relu(self.bn1(self.conv1(x)))
    out = self.relu(self.bn2(self.conv2(out)))
    out = self.bn3(self.conv3(out))
    if self.downsample is not None:
      identity = self.downsample(x)
    out = torch.add_(out, identity)
    return self.relu(out)
class ResNet(Module):
  def forward(self, x):
    x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
    x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.fc(x)
# module torchvision.models.vgg
class VGG(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.classifier(x)
# module torchvision.models.alexnet
class AlexNet(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.classifier(x)
# module torchvision.models.squeezenet
class Fire(Module):
  def forward(self, x):
    x = self.squeeze_activation(self.squeeze(x))
    a = self.expand1x1_activation(self.expand1x1(x))
    b = self.expand3x3_activation(self.expand3x3(x))
    return torch.cat([a, b], 1)
class SqueezeNet(Module):
  def forward(self, x):
    x = self.classifier(self.features(x))
    return torch.flatten(x, 1)
# module torchvision.models.densenet
class _DenseLayer(Module):
  def forward(self, input):
    features = input
    if not isinstance(input, Tensor):
      features = torch.cat(input, 1)
    x = self.conv1(self.relu1(self.norm1(features)))
    x = self.conv2(self.relu2(self.norm2(x)))
    if self.drop_rate > 0:
      x = torch.dropout(x, self.drop_rate, self.training)
    return x
class _DenseBlock(Module):
  def forward(self, init_features):
    features = [init_features]
    for layer in self:
      torch.append(features, layer(features))
    return torch.cat(features, 1)
class _Transition(Sequential):
  pass
class DenseNet(Module):
  def forward(self, x):
    features = self.features(x)
    out = torch.relu_(features)
    out = torch.adaptive_avg_pool2d(out, [1, 1])
    out = torch.flatten(out, 1)
    return self.classifier(out)
# module torchvision.models.mobilenetv2 torchvision.models.mobilenet
class ConvBNReLU(Sequential):
  pass
class InvertedResidual(Module):
  def forward(self, x):
    if self.use_res_connect:
      return x + self.conv(x)
    return self.conv(x)
class MobileNetV2(Module):
  def forward(self, x):
    x = self.features(x)
    x = torch.adaptive_avg_pool2d(x, [1, 1])
    x = torch.flatten(x, 1)
    return self.classifier(x)
# module torchvision.models.mobilenetv3
class SqueezeExcitation(Module):
  def forward(self, input):
    scale = torch.adaptive_avg_pool2d(input, 1)
    scale = self.fc2(self.relu(self.fc1(scale)))
    return torch.hardsigmoid(scale) * input
class InvertedResidual(Module):
  def forward(self, input):
    result = self.block(input)
    if self.use_res_connect:
      result = result + input
    return result
class MobileNetV3(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.classifier(x)
# module torchvision.models.shufflenetv2
class InvertedResidual(Module):
  def forward(self, x):
    if self.stride == 1:
      x1, x2 = torch.chunk(x, 2, 1)
      out = torch.cat([x1, self.branch2(x2)], 1)
    else:
      out = torch.cat([self.branch1(x), self.branch2(x)], 1)
    batch, channels, height, width = torch.size(out)
    out = torch.view(out, [batch, 2, channels // 2, height, width])
    out = torch.transpose(out, 1, 2)
    return torch.view(out, [batch, channels, height, width])
class ShuffleNetV2(Module):
  def forward(self, x):
    x = self.maxpool(self.conv1(x))
    x = self.stage4(self.stage3(self.stage2(x)))
    x = self.conv5(x)
    x = torch.mean(x, [2, 3])
    return self.fc(x)
# module torchvision.models.mnasnet
class _InvertedResidual(Module):
  def forward(self, input):
    if self.apply_residual:
      return self.layers(input) + input
    return self.layers(input)
class MNASNet(Module):
  def forward(self, x):
    x = self.layers(x)
    x = torch.mean(x, [2, 3])
    return self.classifier(x)
# module torchvision.models.efficientnet
class MBConv(Module):
  def forward(self, input):
    result = self.block(input)
    if self.use_res_connect:
      result = self.stochastic_depth(result)
      result = torch.add_(result, input)
    return result
class FusedMBConv(MBConv):
  pass
class EfficientNet(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.classifier(x)
# module torchvision.models.regnet
class SimpleStemIN(Sequential):
  pass
class AnyStage(Sequential):
  pass
class BottleneckTransform(Sequential):
  pass
class ResBottleneckBlock(Module):
  def forward(self, x):
    if self.proj is not None:
      x = self.proj(x) + self.f_block(x)
    else:
      x = x + self.f_block(x)
    return self.activation(x)
class RegNet(Module):
  def forward(self, x):
    x = self.trunk_output(self.stem(x))
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    return self.fc(x)
# module torchvision.models.convnext
class LayerNorm2d(Module):
  def forward(self, x):
    x = torch.permute(x, [0, 2, 3, 1])
    x = torch.layer_norm(x, self.normalized_shape, self.weight, self.bias)
    return torch.permute(x, [0, 3, 1, 2])
class CNBlock(Module):
  def forward(self, input):
    result = self.layer_scale * self.block(input)
    result = self.stochastic_depth(result)
    result = torch.add_(result, input)
    return result
class ConvNeXt(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.avgpool(x)
    return self.classifier(x)
# module torchvision.models.googlenet
class BasicConv2d(Module):
  def forward(self, x):
    x = self.bn(self.conv(x))
    return torch.relu_(x)
class Inception(Module):
  def forward(self, x):
    return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)
class InceptionAux(Module):
  def forward(self, x):
    x = torch.adaptive_avg_pool2d(x, [4, 4])
    x = self.conv(x)
    x = torch.flatten(x, 1)
    x = torch.relu_(self.fc1(x))
    x = self.dropout(x)
    return self.fc2(x)
class GoogLeNet(Module):
  def forward(self, x):
    if self.transform_input:
      x = google_transform(x)
    x = self.maxpool1(self.conv1(x))
    x = self.maxpool2(self.conv3(self.conv2(x)))
    x = self.maxpool3(self.inception3b(self.inception3a(x)))
    x = self.inception4a(x)
    aux1 = None
    if self.aux1 is not None and self.training:
      aux1 = self.aux1(x)
    x = self.inception4d(self.inception4c(self.inception4b(x)))
    aux2 = None
    if self.aux2 is not None and self.training:
      aux2 = self.aux2(x)
    x = self.maxpool4(self.inception4e(x))
    x = self.inception5b(self.inception5a(x))
    x = self.avgpool(x)
    x = torch.flatten(x, 1)
    x = self.fc(self.dropout(x))
    if aux1 is not None:
      return (x, aux2, aux1)
    return x
def google_transform(x):
  a = torch.unsqueeze(torch.select(x, 1, 0), 1) * 0.5 + 0.1
  b = torch.unsqueeze(torch.select(x, 1, 1), 1) * 0.5 + 0.1
  c = torch.unsqueeze(torch.select(x, 1, 2), 1) * 0.5 + 0.1
  return torch.cat([a, b, c], 1)
# module torchvision.models.inception
class BasicConv2d(Module):
  def forward(self, x):
    x = self.bn(self.conv(x))
    return torch.relu_(x)
class InceptionA(Module):
  def forward(self, x):
    a = self.branch1x1(x)
    b = self.branch5x5_2(self.branch5x5_1(x))
    c = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
    d = self.branch_pool(torch.avg_pool2d(x, 3, 1, 1))
    return torch.cat([a, b, c, d], 1)
class InceptionB(Module):
  def forward(self, x):
    a = self.branch3x3(x)
    b = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
    return torch.cat([a, b, torch.max_pool2d(x, 3, 2)], 1)
class InceptionC(Module):
  def forward(self, x):
    a = self.branch1x1(x)
    b = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
    c = self.branch7x7dbl_1(x)
    c = self.branch7x7dbl_3(self.branch7x7dbl_2(c))
    c = self.branch7x7dbl_5(self.branch7x7dbl_4(c))
    d = self.branch_pool(torch.avg_pool2d(x, 3, 1, 1))
    return torch.cat([a, b, c, d], 1)
class InceptionD(Module):
  def forward(self, x):
    a = self.branch3x3_2(self.branch3x3_1(x))
    b = self.branch7x7x3_2(self.branch7x7x3_1(x))
    b = self.branch7x7x3_4(self.branch7x7x3_3(b))
    return torch.cat([a, b, torch.max_pool2d(x, 3, 2)], 1)
class InceptionE(Module):
  def forward(self, x):
    a = self.branch1x1(x)
    b = self.branch3x3_1(x)
    b = torch.cat([self.branch3x3_2a(b), self.branch3x3_2b(b)], 1)
    c = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
    c = torch.cat([self.branch3x3dbl_3a(c), self.branch3x3dbl_3b(c)], 1)
    d = self.branch_pool(torch.avg_pool2d(x, 3, 1, 1))
    return torch.cat([a, b, c, d], 1)
class InceptionAux(Module):
  def forward(self, x):
    x = torch.avg_pool2d(x, 5, 3)
    x = self.conv1(self.conv0(x))
    x = torch.adaptive_avg_pool2d(x, [1, 1])
    x = torch.flatten(x, 1)
    return self.fc(x)
class Inception3(Module):
  def forward(self, x):
    if self.transform_input:
      x = google_transform(x)
    x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
    x = self.maxpool1(x)
    x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
    x = self.maxpool2(x)
    x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
    x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
    x = self.Mixed_6e(self.Mixed_6d(x))
    aux = None
    if self.AuxLogits is not None and self.training:
      aux = self.AuxLogits(x)
    x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
    x = self.avgpool(x)
    x = self.dropout(x)
    x = torch.flatten(x, 1)
    x = self.fc(x)
    if aux is not None:
      return (x, aux)
    return x
